// Byte-pair encoding (Sennrich et al., arXiv 1508.07909) over pieces with 64-bit counts.
//
// A piece is a run of token ids that merges stay inside of: a word in the first phase, a phrase that is
// already cut into tokens in the second one (SuperBPE, arXiv 2503.13423). The most frequent pair becomes a
// token; equal counts go to the smaller ids, so the result depends on nothing but the counts.
// Merges never join a part of a character with anything but the rest of that character.
#pragma once
#include <algorithm>
#include <cstdint>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "counter.h"

namespace onnuri {

// Bytes that are missing at the end of a token for it to be whole characters; -1: starts inside of one.
inline int missing_bytes(std::string_view token) {
  size_t i = 0;
  while (i < token.size()) {
    const uint8_t lead = static_cast<uint8_t>(token[i]);
    const size_t need = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (!need) return -1;
    for (size_t k = 1; k < need; ++k) {
      if (i + k == token.size()) return static_cast<int>(need - k);
      if ((static_cast<uint8_t>(token[i + k]) & 0xC0) != 0x80) return -1;
    }
    i += need;
  }
  return 0;
}

struct Merge {
  int32_t left, right, token;
};

class Trainer {
 public:
  // `tokens`: the bytes of every id so far. Pieces: ids, where each starts (n + 1 offsets), counts.
  Trainer(std::vector<std::string> tokens, const int32_t* ids, const int64_t* offsets, const int64_t* counts,
          size_t num_pieces, int64_t min_count, size_t max_bytes)
      : tokens_(std::move(tokens)), counts_(counts, counts + num_pieces), min_count_(min_count), max_bytes_(max_bytes) {
    ids_.assign(ids, ids + offsets[num_pieces]);
    starts_.assign(offsets, offsets + num_pieces);
    sizes_.resize(num_pieces);
    for (size_t i = 0; i < num_pieces; ++i) sizes_[i] = static_cast<uint32_t>(offsets[i + 1] - offsets[i]);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (!tokens_[i].empty()) known_.insert(tokens_[i]);
      missing_.push_back(tokens_[i].empty() ? -1 : missing_bytes(tokens_[i]));
    }
    count_pairs();
  }

  // Merge until `target` tokens exist, or `steps` merges are made; false when nothing is left to do.
  bool run(size_t target, size_t steps) {
    while (steps && tokens_.size() < target) {
      if (heap_.empty()) return false;
      const Candidate best = heap_.top();
      heap_.pop();
      Pair& pair = pairs_[best.pair];
      if (pair.count != best.count) {
        if (pair.count >= min_count_) heap_.push({pair.count, best.pair, pair.key});
        continue;
      }
      merge(best.pair);
      --steps;
    }
    return tokens_.size() < target;
  }

  const std::vector<Merge>& merges() const { return merges_; }
  const std::vector<int64_t>& merge_counts() const { return merge_counts_; }
  const std::vector<std::string>& tokens() const { return tokens_; }

 private:
  struct Pair {
    uint64_t key;  // left id in the upper half, right id in the lower
    int64_t count;
    std::vector<uint32_t> pieces;
  };
  struct Candidate {
    int64_t count;
    uint32_t pair;
    uint64_t key;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : key > other.key;
    }
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  bool may_join(int32_t left, int32_t right) const {
    if (tokens_[left].size() + tokens_[right].size() > max_bytes_) return false;
    if (missing_[left] > 0) return missing_[right] == -1 && tokens_[right].size() == 1;
    return missing_[left] == 0 && missing_[right] == 0;
  }

  // Every pair of neighbours. A first pass over small counters leaves out most pairs that are too rare.
  void count_pairs() {
    std::vector<int64_t> rough(size_t{1} << 22, 0);
    const uint64_t mask = rough.size() - 1;
    for (size_t i = 0; i < sizes_.size(); ++i) {
      const int32_t* piece = ids_.data() + starts_[i];
      for (uint32_t k = 1; k < sizes_[i]; ++k) rough[mix(key_of(piece[k - 1], piece[k])) & mask] += counts_[i];
    }
    slots_.assign(1 << 16, 0);
    for (size_t i = 0; i < sizes_.size(); ++i) {
      const int32_t* piece = ids_.data() + starts_[i];
      for (uint32_t k = 1; k < sizes_[i]; ++k) {
        if (rough[mix(key_of(piece[k - 1], piece[k])) & mask] < min_count_) continue;
        if (may_join(piece[k - 1], piece[k])) note(piece[k - 1], piece[k], static_cast<uint32_t>(i), counts_[i]);
      }
    }
    for (uint32_t i = 0; i < pairs_.size(); ++i) {
      pairs_[i].pieces.shrink_to_fit();
      if (pairs_[i].count >= min_count_) heap_.push({pairs_[i].count, i, pairs_[i].key});
    }
  }

  uint32_t* find(uint64_t key) {
    size_t slot = mix(key) & (slots_.size() - 1);
    while (slots_[slot] && pairs_[slots_[slot] - 1].key != key) slot = (slot + 1) & (slots_.size() - 1);
    return &slots_[slot];
  }
  uint32_t note(int32_t left, int32_t right, uint32_t piece, int64_t count) {
    uint32_t* slot = find(key_of(left, right));
    if (!*slot) {
      pairs_.push_back({key_of(left, right), 0, {}});
      *slot = static_cast<uint32_t>(pairs_.size());
      if (pairs_.size() * 2 > slots_.size()) {
        slots_.assign(slots_.size() * 4, 0);
        for (uint32_t i = 0; i < pairs_.size(); ++i) *find(pairs_[i].key) = i + 1;
        slot = find(key_of(left, right));
      }
    }
    Pair& pair = pairs_[*slot - 1];
    if (pair.pieces.empty() || pair.pieces.back() != piece) pair.pieces.push_back(piece);
    pair.count += count;
    return *slot - 1;
  }
  void forget(int32_t left, int32_t right, int64_t count) {
    const uint32_t slot = *find(key_of(left, right));
    if (slot) pairs_[slot - 1].count -= count;
  }

  void merge(uint32_t chosen) {
    const int32_t left = static_cast<int32_t>(pairs_[chosen].key >> 32), right = static_cast<int32_t>(pairs_[chosen].key);
    std::string joined = tokens_[left] + tokens_[right];
    const int32_t token = static_cast<int32_t>(tokens_.size());
    if (!known_.emplace(joined).second) {  // another token has these bytes: two would be one name in a file
      pairs_[chosen].count = 0;
      return;
    }
    tokens_.push_back(std::move(joined));
    missing_.push_back(missing_[left] > 0 ? missing_[left] - 1 : 0);
    merges_.push_back({left, right, token});
    merge_counts_.push_back(pairs_[chosen].count);
    const std::vector<uint32_t> pieces = std::move(pairs_[chosen].pieces);
    pairs_[chosen].pieces = {};
    touched_.clear();
    for (const uint32_t index : pieces) {
      int32_t* piece = ids_.data() + starts_[index];
      const uint32_t size = sizes_[index];
      const int64_t count = counts_[index];
      uint32_t out = 0, merged_to = 0;  // merged_to: where the last merge ended
      for (uint32_t k = 0; k < size; ++k) {
        if (piece[k] != left || k + 1 == size || piece[k + 1] != right) {
          piece[out++] = piece[k];
          continue;
        }
        if (out) {
          if (merged_to != k) forget(piece[out - 1], left, count);
          if (may_join(piece[out - 1], token)) touched_.push_back(note(piece[out - 1], token, index, count));
        }
        if (k + 2 < size) {
          forget(right, piece[k + 2], count);
          // a next pair of the same two ids becomes the token too, and is noted then
          if (!(k + 3 < size && piece[k + 2] == left && piece[k + 3] == right) && may_join(token, piece[k + 2])) {
            touched_.push_back(note(token, piece[k + 2], index, count));
          }
        }
        piece[out++] = token;
        ++k;
        merged_to = k + 1;
      }
      sizes_[index] = out;
    }
    pairs_[chosen].count = 0;
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (const uint32_t i : touched_) {
      if (i != chosen && pairs_[i].count >= min_count_) heap_.push({pairs_[i].count, i, pairs_[i].key});
    }
  }

  std::vector<std::string> tokens_;
  std::vector<int> missing_;
  std::unordered_set<std::string> known_;
  std::vector<int32_t> ids_;
  std::vector<int64_t> starts_, counts_;
  std::vector<uint32_t> sizes_;
  int64_t min_count_;
  size_t max_bytes_;
  std::vector<uint32_t> slots_, touched_;
  std::vector<Pair> pairs_;
  std::priority_queue<Candidate> heap_;
  std::vector<Merge> merges_;
  std::vector<int64_t> merge_counts_;
};

}  // namespace onnuri
