// The most likely cut of a word into pieces of a unigram language model (Kudo, arXiv 1804.10959).
//
// As HF tokenizers does it: scores are added from left to right in double precision, the first of equal
// paths stays, and a character that no piece begins with costs `unknown_score` and is spelled in bytes.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "counter.h"
#include "split.h"

namespace onnuri {

class Unigram {
 public:
  // Pieces one after the other, where each starts (count + 1 offsets), their ids and log-probabilities.
  Unigram(const uint8_t* text, const int64_t* offsets, const uint32_t* ids, const double* scores, int64_t count,
          double unknown_score)
      : unknown_score_(unknown_score), slots_(1 << 16), nodes_(1) {
    for (int64_t i = 0; i < count; ++i) {
      uint32_t node = 0;
      for (int64_t k = offsets[i]; k < offsets[i + 1]; ++k) node = child_or_new(node, text[k]);
      nodes_[node] = {scores[i], ids[i]};
    }
  }

  // Ids of a word of whole characters; at most one per byte. `paths` is scratch space of the caller's thread.
  struct Path {
    double score;
    uint32_t id;
    int32_t from;  // -1: not reached
  };
  uint32_t* encode(const uint8_t* p, size_t size, const uint32_t* byte_ids, std::vector<Path>& paths, uint32_t* out) const {
    paths.assign(size + 1, {0, kUnknown, -1});
    const auto offer = [&](size_t to, double score, uint32_t id, size_t from) {
      Path& path = paths[to];
      if (path.from < 0 || score > path.score) path = {score, id, static_cast<int32_t>(from)};
    };
    for (size_t at = 0; at < size;) {
      const size_t step = character(p + at).size;
      const double here = paths[at].score;
      bool single = false;
      uint32_t node = 0;
      for (size_t to = at; to < size && (node = child(node, p[to]));) {
        ++to;
        if (nodes_[node].id == kUnknown) continue;
        offer(to, nodes_[node].score + here, nodes_[node].id, at);
        single |= to - at == step;
      }
      if (!single) offer(at + step, unknown_score_ + here, kUnknown, at);
      at += step;
    }
    // from the end back; then turned around
    uint32_t* const start = out;
    for (size_t to = size; to > 0;) {
      const Path& path = paths[to];
      if (path.id != kUnknown) {
        *out++ = path.id;
      } else {
        for (size_t k = to; k > static_cast<size_t>(path.from); --k) *out++ = byte_ids[p[k - 1]];
      }
      to = path.from;
    }
    for (uint32_t *a = start, *b = out; a < --b; ++a) std::swap(*a, *b);
    return out;
  }

 private:
  static constexpr uint32_t kUnknown = ~0u;
  struct Node {
    double score = 0;
    uint32_t id = kUnknown;
  };
  struct Slot {
    uint64_t key = 0;  // node and byte, plus one
    uint32_t node = 0;
  };

  size_t slot_of(uint64_t key) const {
    size_t slot = mix(key) & (slots_.size() - 1);
    while (slots_[slot].key && slots_[slot].key != key) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }
  static uint64_t key_of(uint32_t node, uint8_t byte) { return (static_cast<uint64_t>(node) << 8 | byte) + 1; }
  // 0 is the root, which is nobody's child.
  uint32_t child(uint32_t node, uint8_t byte) const { return slots_[slot_of(key_of(node, byte))].node; }
  uint32_t child_or_new(uint32_t node, uint8_t byte) {
    const uint64_t key = key_of(node, byte);
    Slot* slot = &slots_[slot_of(key)];
    if (!slot->key) {
      if (nodes_.size() * 2 > slots_.size()) {
        std::vector<Slot> old(slots_.size() * 4);
        old.swap(slots_);
        for (const Slot& entry : old) {
          if (entry.key) slots_[slot_of(entry.key)] = entry;
        }
        slot = &slots_[slot_of(key)];
      }
      *slot = {key, static_cast<uint32_t>(nodes_.size())};
      nodes_.emplace_back();
    }
    return slot->node;
  }

  double unknown_score_;
  std::vector<Slot> slots_;
  std::vector<Node> nodes_;
};

}  // namespace onnuri
