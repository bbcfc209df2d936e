// Products of matrices that fit in the first cache, such as those of one head of attention. A call of oneDNN's costs more there than the
// product, and wants its matrices without gaps; these read and write them where they lie.
#ifndef MILLRACE_SMALL_PRODUCT_H_
#define MILLRACE_SMALL_PRODUCT_H_

#include <cstdint>

#include "instruction-sets.h"

namespace millrace {

// Element (i, k) of the left matrix lies at data[i * row + k * inner]: a transposed one has the two the other way round.
struct LeftMatrix {
  const float* data;
  int64_t row;
  int64_t inner;
};

// Rows of numbers side by side, `stride` apart.
struct Rows {
  const float* data;
  int64_t stride;
};

struct WrittenRows {
  float* data;
  int64_t stride;
};

struct SmallShape {
  int64_t rows;
  int64_t inner;
  int64_t columns;
};

// kLanes numbers in one register, from anywhere in memory. As wide as registers are: of what is wider compilers make single numbers.
template <int kLanes>
struct Register {
  typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));
};

// Whether a product is added to what is there.
enum class Sum { kSet, kAdd };

// kRows rows of kLanes · kVectors columns. Eight sums at a time hide what one addition takes, and fit where there are sixteen registers.
template <int kLanes, int kRows, int kVectors, Sum kSum>
MILLRACE_INLINE void multiply_tile(const LeftMatrix& left, const Rows& right, int64_t inner, const WrittenRows& product) {
  using Lanes = typename Register<kLanes>::Lanes;
  Lanes sums[kRows][kVectors] = {};
  for (int64_t k = 0; k < inner; k++) {
    for (int v = 0; v < kVectors; v++) {
      const Lanes factor = *reinterpret_cast<const Lanes*>(right.data + k * right.stride + v * kLanes);
      for (int r = 0; r < kRows; r++) sums[r][v] += left.data[r * left.row + k * left.inner] * factor;
    }
  }
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVectors; v++) {
      Lanes* made = reinterpret_cast<Lanes*>(product.data + r * product.stride + v * kLanes);
      *made = kSum == Sum::kAdd ? *made + sums[r][v] : sums[r][v];
    }
  }
}

template <int kLanes, int kVectors, Sum kSum>
MILLRACE_INLINE void multiply_columns(const LeftMatrix& left, const Rows& right, int64_t rows, int64_t inner,
                                      const WrittenRows& product) {
  constexpr int64_t kRows = 8 / kVectors;
  int64_t row = 0;
  for (; row + kRows <= rows; row += kRows) {
    multiply_tile<kLanes, kRows, kVectors, kSum>({left.data + row * left.row, left.row, left.inner}, right, inner,
                                                 {product.data + row * product.stride, product.stride});
  }
  for (; row < rows; row++) {
    multiply_tile<kLanes, 1, kVectors, kSum>({left.data + row * left.row, left.row, left.inner}, right, inner,
                                             {product.data + row * product.stride, product.stride});
  }
}

template <int kLanes, Sum kSum = Sum::kSet>
MILLRACE_INLINE void multiply_small(const LeftMatrix& left, const Rows& right, const SmallShape& shape,
                                    const WrittenRows& product) {
  int64_t column = 0;
  for (; column + 2 * kLanes <= shape.columns; column += 2 * kLanes) {
    multiply_columns<kLanes, 2, kSum>(left, {right.data + column, right.stride}, shape.rows, shape.inner,
                                      {product.data + column, product.stride});
  }
  if (column + kLanes <= shape.columns) {
    multiply_columns<kLanes, 1, kSum>(left, {right.data + column, right.stride}, shape.rows, shape.inner,
                                      {product.data + column, product.stride});
    column += kLanes;
  }
  if (column == shape.columns) return;
  for (int64_t row = 0; row < shape.rows; row++) {
    float* made = product.data + row * product.stride;
    if (kSum == Sum::kSet) {
      for (int64_t j = column; j < shape.columns; j++) made[j] = 0;
    }
    for (int64_t k = 0; k < shape.inner; k++) {
      const float factor = left.data[row * left.row + k * left.inner];
      const float* from = right.data + k * right.stride;
      for (int64_t j = column; j < shape.columns; j++) made[j] += factor * from[j];
    }
  }
}

// `columns` numbers of each of `count` rows, the columns as rows of `count` numbers.
MILLRACE_INLINE void transpose_rows(const Rows& rows, int64_t count, int64_t columns, float* made) {
  for (int64_t column = 0; column < columns; column++) {
    for (int64_t row = 0; row < count; row++) made[column * count + row] = rows.data[row * rows.stride + column];
  }
}

}  // namespace millrace

#endif  // MILLRACE_SMALL_PRODUCT_H_
