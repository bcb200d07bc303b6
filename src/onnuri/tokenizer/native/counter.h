// Distinct pieces of text and how often each occurs, weighted, in 64 bits.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

namespace onnuri {

inline uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  return x ^ (x >> 32);
}

inline uint64_t hash_bytes(const uint8_t* p, size_t size) {
  uint64_t h = 0x9e3779b97f4a7c15ull ^ size, word;
  while (size >= 8) {
    std::memcpy(&word, p, 8);
    h = (h ^ word) * 0x9fb21c651e98df25ull;
    h ^= h >> 29;
    p += 8;
    size -= 8;
  }
  word = 0;
  std::memcpy(&word, p, size);
  return mix(h ^ word);
}

// With a limit it keeps a sample: pieces whose hash is below a bound that halves when they get too large.
// Bound and sample depend on the set of pieces alone, not on their order or on how many counters share it.
class Counter {
 public:
  explicit Counter(size_t most_bytes) : most_bytes_(most_bytes), slots_(1 << 12, 0) {}

  void add(const uint8_t* p, size_t size, int64_t weight) {
    const uint64_t hash = hash_bytes(p, size);
    if (hash <= bound_) add(p, size, hash, weight);
  }

  size_t size() const { return pieces_.size(); }
  size_t bytes() const { return arena_.size(); }
  uint64_t share() const { return ~0ull / bound_; }
  void merge(const Counter& other) {
    while (bound_ > other.bound_) halve();
    for (const Piece& piece : other.pieces_) {
      if (piece.hash <= bound_) add(other.arena_.data() + piece.start, piece.size, piece.hash, piece.count);
    }
  }
  // The pieces of one part in `parts` by hash; returns how many there are.
  int64_t export_to(uint8_t* bytes, int64_t* offsets, int64_t* counts, uint64_t part, uint64_t parts) const {
    int64_t offset = 0, out = 0;
    for (const Piece& piece : pieces_) {
      if ((piece.hash >> 32) % parts != part) continue;  // the low bits choose slots
      std::memcpy(bytes + offset, arena_.data() + piece.start, piece.size);
      offsets[out] = offset;
      counts[out++] = piece.count;
      offset += piece.size;
    }
    offsets[out] = offset;
    return out;
  }

 private:
  struct Piece {
    uint64_t hash;
    int64_t count;
    uint64_t start;
    uint32_t size;
  };

  void add(const uint8_t* p, size_t size, uint64_t hash, int64_t weight) {
    size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot]) {
      Piece& piece = pieces_[slots_[slot] - 1];
      if (piece.hash == hash && piece.size == size && !std::memcmp(arena_.data() + piece.start, p, size)) {
        piece.count += weight;
        return;
      }
      slot = (slot + 1) & (slots_.size() - 1);
    }
    pieces_.push_back({hash, weight, arena_.size(), static_cast<uint32_t>(size)});
    arena_.insert(arena_.end(), p, p + size);
    slots_[slot] = static_cast<uint32_t>(pieces_.size());
    if (pieces_.size() * 2 > slots_.size()) place_all(slots_.size() * 4);
    if (most_bytes_) {
      while (arena_.size() + pieces_.size() * sizeof(Piece) > most_bytes_ && pieces_.size() > 1) halve();
    }
  }
  void place_all(size_t size) {
    slots_.assign(size, 0);
    for (size_t i = 0; i < pieces_.size(); ++i) {
      size_t slot = pieces_[i].hash & (size - 1);
      while (slots_[slot]) slot = (slot + 1) & (size - 1);
      slots_[slot] = static_cast<uint32_t>(i + 1);
    }
  }
  void halve() {
    bound_ /= 2;
    size_t kept = 0, offset = 0;
    for (const Piece& piece : pieces_) {
      if (piece.hash > bound_) continue;
      std::memmove(arena_.data() + offset, arena_.data() + piece.start, piece.size);
      pieces_[kept++] = {piece.hash, piece.count, offset, piece.size};
      offset += piece.size;
    }
    pieces_.resize(kept);
    arena_.resize(offset);
    place_all(slots_.size());
  }

  size_t most_bytes_;
  uint64_t bound_ = ~0ull;

  std::vector<uint32_t> slots_;
  std::vector<Piece> pieces_;
  std::vector<uint8_t> arena_;
};

}  // namespace onnuri
