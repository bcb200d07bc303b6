// Cross-entropy of rows of logits and its derivative, which takes the place of the logits.
#include <cmath>
#include <vector>

#include "numbers.h"

using namespace onnuri;

namespace {

constexpr int64_t kPart = 1024;  // numbers summed in float; such sums are added in double

template <class T>
INLINE float row_of(T* row, int64_t size, int64_t target, float z_loss, float* weights) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < size; ++i) {
    const float x = load(row[i]);
    most = x > most ? x : most;
  }
  double total = 0;
  for (int64_t first = 0; first < size; first += kPart) {
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t i = first; i < std::min(size, first + kPart); ++i) part += weights[i] = exponential(load(row[i]) - most);
    total += part;
  }
  const double log_sum = most + std::log(total);
  const float factor = static_cast<float>((1 + 2 * z_loss * log_sum) / total);
  const float own = load(row[target]);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) store(weights[i] * factor, row + i);
  store(weights[target] * factor - 1, row + target);
  return static_cast<float>(log_sum - own + z_loss * log_sum * log_sum);
}
EVERY_WIDTH float row(Bf16* r, int64_t size, int64_t target, float z_loss, float* w) { return row_of(r, size, target, z_loss, w); }
EVERY_WIDTH float row(float* r, int64_t size, int64_t target, float z_loss, float* w) { return row_of(r, size, target, z_loss, w); }

template <class T>
void rows(T* logits, const int64_t* targets, float* losses, int64_t number, int64_t size, float z_loss, int64_t threads) {
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> weights(size);
#pragma omp for
    for (int64_t r = 0; r < number; ++r) {
      T* const at = logits + r * size;
      if (targets[r] >= 0 && targets[r] < size) {
        losses[r] = row(at, size, targets[r], z_loss, weights.data());
      } else {
        std::fill(at, at + size, T{});
        losses[r] = 0;
      }
    }
  }
}

}  // namespace

// logits [number, size], bf16 (2 bytes) or float; a target outside of them does not count.
extern "C" void cross_entropy(void* logits, const int64_t* targets, float* losses, int64_t number, int64_t size, float z_loss,
                              int64_t threads, int64_t bytes) {
  if (bytes == 2) return rows(static_cast<Bf16*>(logits), targets, losses, number, size, z_loss, threads);
  rows(static_cast<float*>(logits), targets, losses, number, size, z_loss, threads);
}
