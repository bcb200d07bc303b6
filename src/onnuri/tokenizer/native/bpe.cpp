// The C interface that src/onnuri/tokenizer/native/__init__.py calls. Text must be valid UTF-8. Running out
// of memory ends the process.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "counter.h"
#include "encoder.h"
#include "split.h"
#include "trainer.h"

using namespace onnuri;

namespace {

// Merging walks through whole pieces, so a line of megabytes is counted in parts: bytes in the largest.
constexpr ptrdiff_t kLongestPiece = 512;

const uint8_t* start_of_character(const uint8_t* p) {
  while ((*p & 0xC0) == 0x80) --p;
  return p;
}

// Bytes without a space that are counted: more are base64 or the like, each piece of which is new and rare.
constexpr ptrdiff_t kLongestRun = 1 << 17;

// Call text(p, end) for all but what comes after the first kLongestRun bytes of each run without an ASCII space
// or control character. Returns the bytes left out.
template <class Text>
int64_t without_long_runs(const uint8_t* p, const uint8_t* end, Text text) {
  int64_t left_out = 0;
  for (const uint8_t* run = p; end - run > kLongestRun;) {
    const uint8_t* const stop = std::find_if(run, end, [](uint8_t byte) { return byte <= ' '; });
    if (stop - run > kLongestRun) {
      const uint8_t* const cut = start_of_character(run + kLongestRun);
      text(p, cut);
      left_out += stop - cut;
      p = stop;
    }
    run = stop == end ? end : stop + 1;
  }
  if (p < end) text(p, end);
  return left_out;
}

// Where to cut a piece that is too long: after the last word that fits, or within the first one. Looks no
// further than a character beyond what fits, else a word of megabytes would be walked through once a part.
const uint8_t* shorter(const Splitter& splitter, const uint8_t* p, const uint8_t* end) {
  const uint8_t* const most = p + kLongestPiece;
  const uint8_t* const seen = end - most > 8 ? start_of_character(most + 8) : end;
  const uint8_t* cut = p;
  while (cut < seen) {
    const uint8_t* next = splitter.word(cut, seen);
    if (next > most) break;
    cut = next;
  }
  return cut > p ? cut : start_of_character(most);
}

}  // namespace

extern "C" {

Counter* counter_new(int64_t most_bytes) { return new Counter(most_bytes); }
void counter_free(Counter* counter) { delete counter; }
int64_t counter_size(const Counter* counter) { return counter->size(); }
int64_t counter_bytes(const Counter* counter) { return counter->bytes(); }
int64_t counter_share(const Counter* counter) { return counter->share(); }
void counter_merge(Counter* counter, const Counter* other) { counter->merge(*other); }
int64_t counter_export(const Counter* counter, uint8_t* bytes, int64_t* offsets, int64_t* counts, int64_t part, int64_t parts) {
  return counter->export_to(bytes, offsets, counts, part, parts);
}
void counter_add(Counter* counter, const uint8_t* text, const int64_t* offsets, const int64_t* counts, int64_t pieces) {
  for (int64_t i = 0; i < pieces; ++i) counter->add(text + offsets[i], offsets[i + 1] - offsets[i], counts[i]);
}
// Returns the bytes that are left out (kLongestRun).
int64_t counter_add_text(Counter* counter, const uint8_t* classes, int64_t mark_prefix, int64_t phrases, const char* placeholders,
                         const uint32_t* placeholder_ids, const uint8_t* text, const int64_t* offsets,
                         const int64_t* weights, int64_t documents) {
  const Splitter splitter(classes, mark_prefix);
  const Placeholders no_text(placeholders, placeholder_ids);
  int64_t left_out = 0;
  for (int64_t i = 0; i < documents; ++i) {
    if (weights[i] == 0) continue;
    const auto count = [&](const uint8_t* p, const uint8_t* end) {
      while (p < end) {
        const uint8_t* const stop = phrases ? splitter.phrase(p, end) : splitter.word(p, end);
        while (p < stop) {
          const uint8_t* const next = stop - p > kLongestPiece ? shorter(splitter, p, stop) : stop;
          counter->add(p, next - p, weights[i]);
          p = next;
        }
      }
    };
    const auto walk = [&](const uint8_t* p, const uint8_t* end) { no_text.walk(p, end, count, [](uint32_t) {}); };
    left_out += without_long_runs(text + offsets[i], text + offsets[i + 1], walk);
  }
  return left_out;
}
int64_t split(const uint8_t* classes, int64_t mark_prefix, int64_t phrases, const uint8_t* text, int64_t size, int64_t* ends) {
  const Splitter splitter(classes, mark_prefix);
  const uint8_t *p = text, *end = text + size;
  int64_t n = 0;
  while (p < end) {
    p = phrases ? splitter.phrase(p, end) : splitter.word(p, end);
    ends[n++] = p - text;
  }
  return n;
}

// The first token that may be more than one word, or part of two; `num_tokens` if there is none.
int64_t first_phrase(const uint8_t* classes, const uint8_t* bytes, const int64_t* offsets, int64_t num_tokens) {
  const Splitter splitter(classes, false);
  const auto continues = [](uint8_t byte) { return (byte & 0xC0) == 0x80; };
  for (int64_t i = 0; i < num_tokens; ++i) {
    const uint8_t *p = bytes + offsets[i], *end = bytes + offsets[i + 1];
    if (p == end || std::all_of(p + 1, end, continues)) continue;  // no more than one character
    const std::string_view token(reinterpret_cast<const char*>(p), end - p);
    if (missing_bytes(token) || splitter.word(p, end) != end) return i;
  }
  return num_tokens;
}

Trainer* trainer_new(const uint8_t* bytes, const int64_t* token_offsets, int64_t num_tokens, const int32_t* ids,
                     const int64_t* offsets, const int64_t* counts, int64_t num_pieces, int64_t min_count,
                     int64_t max_bytes) {
  std::vector<std::string> tokens;
  for (int64_t i = 0; i < num_tokens; ++i) {
    tokens.emplace_back(reinterpret_cast<const char*>(bytes) + token_offsets[i], token_offsets[i + 1] - token_offsets[i]);
  }
  return new Trainer(std::move(tokens), ids, offsets, counts, num_pieces, min_count, max_bytes);
}
void trainer_free(Trainer* trainer) { delete trainer; }
int64_t trainer_run(Trainer* trainer, int64_t target, int64_t steps) { return trainer->run(target, steps); }
int64_t trainer_num_tokens(const Trainer* trainer) { return trainer->tokens().size(); }
int64_t trainer_num_merges(const Trainer* trainer) { return trainer->merges().size(); }
void trainer_merges(const Trainer* trainer, int32_t* merges, int64_t* counts) {
  std::memcpy(merges, trainer->merges().data(), trainer->merges().size() * sizeof(Merge));
  std::memcpy(counts, trainer->merge_counts().data(), trainer->merge_counts().size() * 8);
}

Merges* merges_new(const int32_t* rows, const uint32_t* ranks, int64_t count, int64_t within_words) {
  return new Merges(rows, ranks, count, within_words);
}
void merges_free(Merges* merges) { delete merges; }
Unigram* unigram_new(const uint8_t* text, const int64_t* offsets, const uint32_t* ids, const double* scores, int64_t count,
                     double unknown_score) {
  return new Unigram(text, offsets, ids, scores, count, unknown_score);
}
void unigram_free(Unigram* unigram) { delete unigram; }
Encoder* encoder_new(const Merges* merges, const Unigram* unigram, const uint8_t* classes, int64_t mark_prefix, int64_t phrases,
                     const uint32_t* byte_ids, const char* placeholders, const uint32_t* placeholder_ids) {
  return new Encoder(merges, unigram, classes, mark_prefix, phrases, byte_ids, Placeholders(placeholders, placeholder_ids));
}
void encoder_free(Encoder* encoder) { delete encoder; }
// ids: room for one per byte and document, and a few more. Returns how many ids were written; `ends` has the
// end of each document. A separator (not -1) closes each document.
int64_t encoder_encode(Encoder* encoder, const uint8_t* text, const int64_t* offsets, int64_t documents, int64_t separator,
                       uint32_t* ids, int64_t* ends) {
  uint32_t* out = ids;
  for (int64_t i = 0; i < documents; ++i) {
    out = encoder->encode(text + offsets[i], text + offsets[i + 1], out);
    if (separator >= 0) *out++ = static_cast<uint32_t>(separator);
    ends[i] = out - ids;
  }
  return out - ids;
}

}  // extern "C"
