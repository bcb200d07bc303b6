// Cutting UTF-8 text into words and phrases: the same pieces as the regular expressions of presplit.py.
//
// Every code point has a class (table made in Python). A word is a run of one class with at most one mark
// or space before it. A phrase is a run of words that superwords may span: no digits, no loose jamo, at
// most single spaces, up to the end of the line. Words never cross the boundary of a phrase.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace onnuri {

enum Class : uint8_t { kLetter, kHangul, kJamo, kHan, kDigit, kMark, kSpace, kBlank, kNewline };

struct Character {
  uint32_t code;
  uint32_t size;  // bytes
};

// Decode one character of valid UTF-8.
inline Character character(const uint8_t* p) {
  if (p[0] < 0x80) return {p[0], 1};
  if (p[0] < 0xE0) return {(p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu), 2};
  if (p[0] < 0xF0) return {(p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu), 3};
  return {(p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu), 4};
}

class Splitter {
 public:
  explicit Splitter(const uint8_t* classes, bool mark_prefix) : classes_(classes), mark_prefix_(mark_prefix) {}

  // End of the word that starts at p.
  const uint8_t* word(const uint8_t* p, const uint8_t* end) const {
    uint32_t size;
    const uint8_t first = look(p, size);
    const uint8_t* next = p + size;
    switch (first) {
      case kLetter:
      case kHangul:
      case kHan:
        return run(next, end, first, ~0u);
      case kJamo:
        return run(next, end, kJamo, 3);
      case kDigit:
        return run(next, end, kDigit, 2);
      case kNewline:
        return line_breaks(next, end);
      case kMark:
        return marks(next, end);
      default:
        return blanks(p, end);
    }
  }

  // End of the phrase that starts at p.
  const uint8_t* phrase(const uint8_t* p, const uint8_t* end) const {
    const uint8_t* start = p;
    uint32_t size = 0, after;
    while (p < end) {
      const uint8_t kind = look(p, size);
      if (in_phrase(kind)) {
        p += size;
        continue;
      }
      if (kind == kNewline && p > start) return line_breaks(p + size, end);
      if (kind != kSpace || p + 1 == end) break;
      const uint8_t second = look(p + 1, after);
      if (second == kDigit && p > start) return p + 1;
      if (!in_phrase(second)) break;
      p += 1 + after;
    }
    return p > start ? p : word(p, end);
  }

 private:
  uint8_t look(const uint8_t* p, uint32_t& size) const {
    const Character c = character(p);
    size = c.size;
    return classes_[c.code];
  }
  static bool is_letter(uint8_t kind) { return kind == kLetter || kind == kHangul || kind == kHan; }
  static bool in_phrase(uint8_t kind) { return is_letter(kind) || kind == kMark; }

  const uint8_t* run(const uint8_t* p, const uint8_t* end, uint8_t kind, uint32_t most) const {
    uint32_t size;
    while (p < end && most && look(p, size) == kind) p += size, --most;
    return p;
  }
  // The rest of a run of marks; or, where single marks go with the word after them, that word.
  const uint8_t* marks(const uint8_t* p, const uint8_t* end) const {
    uint32_t size;
    if (mark_prefix_ && p < end) {
      const uint8_t kind = look(p, size);
      if (is_letter(kind)) return run(p + size, end, kind, ~0u);
    }
    p = run(p, end, kMark, ~0u);
    return p < end && look(p, size) == kNewline ? line_breaks(p + size, end) : p;
  }
  // Line breaks and the indentation after them, from within.
  const uint8_t* line_breaks(const uint8_t* p, const uint8_t* end) const {
    p = run(p, end, kNewline, ~0u);
    return indent(p, end);
  }
  // Blanks from p on, without a last space that goes with the word after it.
  const uint8_t* indent(const uint8_t* p, const uint8_t* end) const {
    const uint8_t* last = p;
    uint8_t kind = kNewline;
    uint32_t size = 0;
    while (p < end && ((kind = look(p, size)) == kSpace || kind == kBlank)) {
      last = p;
      p += size;
    }
    const bool joins = p < end && (in_phrase(kind) || kind == kJamo);
    return joins && *last == ' ' ? last : p;
  }
  // A word that starts with a blank: the blanks, or a space and what follows it.
  const uint8_t* blanks(const uint8_t* p, const uint8_t* end) const {
    const uint8_t* stop = indent(p, end);
    if (stop > p) return stop;
    uint32_t size;
    const uint8_t kind = look(p + 1, size);
    p += 1 + size;
    return kind == kMark ? marks(p, end) : run(p, end, kind, kind == kJamo ? 3 : ~0u);
  }

  const uint8_t* classes_;
  bool mark_prefix_;
};

// Placeholders such as <|phone|>, which are one token wherever they stand. All begin with "<|".
class Placeholders {
 public:
  // Names separated by line breaks, and their ids.
  Placeholders(const char* names, const uint32_t* ids) {
    for (const char* p = names; *p; ++ids) {
      const char* stop = std::strchr(p, '\n');
      names_.emplace_back(std::string(p, stop), *ids);
      p = stop + 1;
    }
  }

  // Call text(p, end) for what stands between placeholders and token(id) for each of them.
  template <class Text, class Token>
  void walk(const uint8_t* p, const uint8_t* end, Text text, Token token) const {
    const uint8_t* from = p;
    while (p < end && (p = static_cast<const uint8_t*>(std::memchr(p, '<', end - p)))) {
      const auto* found = at(p, end);
      if (!found) {
        ++p;
        continue;
      }
      if (p > from) text(from, p);
      token(found->second);
      from = p += found->first.size();
    }
    if (from < end) text(from, end);
  }

 private:
  const std::pair<std::string, uint32_t>* at(const uint8_t* p, const uint8_t* end) const {
    if (end - p < 2 || p[1] != '|') return nullptr;
    for (const auto& entry : names_) {
      const size_t size = entry.first.size();
      if (static_cast<size_t>(end - p) >= size && !std::memcmp(p, entry.first.data(), size)) return &entry;
    }
    return nullptr;
  }
  std::vector<std::pair<std::string, uint32_t>> names_;
};

}  // namespace onnuri
