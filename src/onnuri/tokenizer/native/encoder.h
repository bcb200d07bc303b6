// Text to token ids, exactly as HF tokenizers does it for a tokenizer.json of this project.
//
// Words are looked up in a cache of fixed size. In a phrase, words are first merged by the rules before the
// first one that spans words, and then on together: those rules cannot cross the boundary of a word (split.h)
// and come before all others, so the result is that of merging the bytes of the whole phrase.
#pragma once
#include <cstdint>
#include <cstring>
#include <queue>
#include <vector>

#include "counter.h"
#include "split.h"
#include "unigram.h"

namespace onnuri {

constexpr uint32_t kNone = ~0u;

struct Merged {
  uint32_t rank, token;
};

class Merges {
 public:
  // Rows of (left, right, token) ids, no pair twice; their ranks; the first that may reach beyond a word.
  Merges(const int32_t* rows, const uint32_t* ranks, int64_t count, uint32_t within_words)
      : within_words_(within_words) {
    size_t size = 16;
    while (size < static_cast<size_t>(count) * 2) size *= 2;
    slots_.assign(size, {~0ull, {kNone, kNone}});
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t key = key_of(rows[3 * i], rows[3 * i + 1]);
      slots_[position(key)] = {key, {ranks[i], static_cast<uint32_t>(rows[3 * i + 2])}};
    }
  }
  Merged find(uint32_t left, uint32_t right) const { return slots_[position(key_of(left, right))].merged; }
  uint32_t within_words() const { return within_words_; }

 private:
  struct Slot {
    uint64_t key;
    Merged merged;
  };
  static uint64_t key_of(uint32_t left, uint32_t right) { return static_cast<uint64_t>(left) << 32 | right; }
  size_t position(uint64_t key) const {
    size_t slot = mix(key) & (slots_.size() - 1);
    while (slots_[slot].key != key && slots_[slot].key != ~0ull) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }
  uint32_t within_words_;
  std::vector<Slot> slots_;
};

// One thread's encoder.
class Encoder {
 public:
  // One of merges and unigram is null.
  Encoder(const Merges* merges, const Unigram* unigram, const uint8_t* classes, bool mark_prefix, bool phrases,
          const uint32_t* byte_ids, Placeholders placeholders)
      : merges_(merges),
        unigram_(unigram),
        splitter_(classes, mark_prefix),
        phrases_(phrases),
        word_limit_(phrases ? merges->within_words() : kNone),
        placeholders_(std::move(placeholders)),
        cache_(kCacheSize) {
    std::memcpy(byte_ids_, byte_ids, sizeof(byte_ids_));
  }

  // Writes at most one id per byte; returns the end of what was written.
  uint32_t* encode(const uint8_t* p, const uint8_t* end, uint32_t* out) {
    placeholders_.walk(
        p, end, [&](const uint8_t* from, const uint8_t* to) { out = encode_text(from, to, out); },
        [&](uint32_t id) { *out++ = id; });
    return out;
  }

 private:
  uint32_t* encode_text(const uint8_t* p, const uint8_t* end, uint32_t* out) {
    while (p < end) {
      const uint8_t* stop = phrases_ ? splitter_.phrase(p, end) : end;
      uint32_t* const start = out;
      size_t words = 0;
      for (; p < stop; ++words) {
        const uint8_t* next = splitter_.word(p, stop);
        out = word(p, next - p, out);
        p = next;
      }
      if (phrases_) out = reduce(start, out - start, kNone);
    }
    return out;
  }

  static constexpr size_t kCacheSize = 1 << 18, kCachedBytes = 26, kCachedIds = 8, kShort = 96;
  struct alignas(64) Cached {  // one cache line
    uint32_t hash;
    uint8_t size, count;
    uint8_t bytes[kCachedBytes];
    uint32_t ids[kCachedIds];
  };

  uint32_t* word(const uint8_t* p, size_t size, uint32_t* out) {
    if (size > kCachedBytes) return bytes(p, size, out);
    const uint64_t hash = hash_bytes(p, size);
    Cached& cached = cache_[hash & (kCacheSize - 1)];
    if (cached.hash == static_cast<uint32_t>(hash >> 32) && cached.size == size && !std::memcmp(cached.bytes, p, size)) {
      std::memcpy(out, cached.ids, sizeof(cached.ids));  // of fixed size: faster, and overwritten next
      return out + cached.count;
    }
    uint32_t* end = bytes(p, size, out);
    const size_t count = end - out;
    if (count <= kCachedIds) {
      cached.hash = static_cast<uint32_t>(hash >> 32);
      cached.size = static_cast<uint8_t>(size);
      cached.count = static_cast<uint8_t>(count);
      std::memcpy(cached.bytes, p, size);
      std::memcpy(cached.ids, out, count * 4);
    }
    return end;
  }

  uint32_t* bytes(const uint8_t* p, size_t size, uint32_t* out) {
    if (unigram_) return unigram_->encode(p, size, byte_ids_, paths_, out);
    for (size_t i = 0; i < size; ++i) out[i] = byte_ids_[p[i]];
    return reduce(out, size, word_limit_);
  }

  // Merge the pair of lowest rank, the leftmost of equals, until none below `limit` is left.
  uint32_t* reduce(uint32_t* ids, size_t count, uint32_t limit) {
    return count <= kShort ? reduce_short(ids, count, limit) : reduce_long(ids, count, limit);
  }

  uint32_t* reduce_short(uint32_t* ids, size_t count, uint32_t limit) {
    Merged pairs[kShort];
    for (size_t i = 0; i + 1 < count; ++i) pairs[i] = merges_->find(ids[i], ids[i + 1]);
    while (count > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < count; ++i) best = pairs[i].rank < pairs[best].rank ? i : best;
      if (pairs[best].rank >= limit) break;
      ids[best] = pairs[best].token;
      std::memmove(ids + best + 1, ids + best + 2, (count - best - 2) * sizeof(*ids));
      if (best + 2 < count) std::memmove(pairs + best, pairs + best + 1, (count - best - 2) * sizeof(*pairs));
      --count;
      if (best > 0) pairs[best - 1] = merges_->find(ids[best - 1], ids[best]);
      if (best + 1 < count) pairs[best] = merges_->find(ids[best], ids[best + 1]);
    }
    return ids + count;
  }

  struct Link {
    int32_t before, after;  // -1: none
  };
  struct Open {
    uint32_t rank, position, left, right;
    bool operator<(const Open& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };

  uint32_t* reduce_long(uint32_t* ids, size_t count, uint32_t limit) {
    const int32_t n = static_cast<int32_t>(count);
    links_.resize(count);
    std::priority_queue<Open> open;
    const auto offer = [&](int32_t i) {
      const int32_t next = links_[i].after;
      if (next < 0) return;
      const Merged merged = merges_->find(ids[i], ids[next]);
      if (merged.rank < limit) open.push({merged.rank, static_cast<uint32_t>(i), ids[i], ids[next]});
    };
    for (int32_t i = 0; i < n; ++i) links_[i] = {i - 1, i + 1 < n ? i + 1 : -1};
    for (int32_t i = 0; i + 1 < n; ++i) offer(i);
    while (!open.empty()) {
      const Open pair = open.top();
      open.pop();
      const int32_t position = static_cast<int32_t>(pair.position), next = links_[position].after;
      if (ids[position] != pair.left || next < 0 || ids[next] != pair.right) continue;
      ids[position] = merges_->find(pair.left, pair.right).token;
      ids[next] = kNone;
      links_[position].after = links_[next].after;
      if (links_[position].after >= 0) links_[links_[position].after].before = position;
      if (links_[position].before >= 0) offer(links_[position].before);
      offer(position);
    }
    uint32_t* out = ids;
    for (int32_t i = 0; i >= 0; i = links_[i].after) *out++ = ids[i];
    return out;
  }

  const Merges* const merges_;
  const Unigram* const unigram_;
  const Splitter splitter_;
  const bool phrases_;
  const uint32_t word_limit_;
  const Placeholders placeholders_;
  uint32_t byte_ids_[256];
  std::vector<Cached> cache_;
  std::vector<Link> links_;
  std::vector<Unigram::Path> paths_;
};

}  // namespace onnuri
