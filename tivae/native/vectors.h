// Vectors of the processor's own width, and tiles of pixels that are kept in its registers.
//
// Work is shared among threads by images, or by outputs, never by the terms of a sum.
//
// Images are (H, W, C), so that channels fill vectors. Each output is one sum over taps and channels in a fixed order,
// whatever the vectors' width or the tile it falls in: bits depend on neither.

#include <cmath>
#include <cstring>
#include <vector>

// Nothing here is shared with the kernels of another network in the same process.
namespace {

int threads = 1;

#if defined(__AVX512F__)
constexpr int LANES = 16, REGISTERS = 28;
#elif defined(__AVX__)
constexpr int LANES = 8, REGISTERS = 12;
#else
constexpr int LANES = 4, REGISTERS = 24;
#endif

typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline Vector load(const float *from) { return *reinterpret_cast<const Vector *>(from); }
static inline void store(float *to, Vector value) { *reinterpret_cast<Vector *>(to) = value; }
static inline Vector activated(Vector value, float slope) { return value > 0 ? value : value * slope; }

// The zero pixels around an image.
template <int C, int SIZE> static void frame(float *image) {
  constexpr long row = (SIZE + 2L) * C;
  std::memset(image, 0, sizeof(float) * row);
  std::memset(image + (SIZE + 1) * row, 0, sizeof(float) * row);
  for (int i = 1; i <= SIZE; ++i) {
    std::memset(image + i * row, 0, sizeof(float) * C);
    std::memset(image + (i + 1) * row - C, 0, sizeof(float) * C);
  }
}

// A norm with fixed statistics and a leaky ReLU.
struct Activation {
  const float *scale, *shift;
  float slope;
};

// Output channels are computed in panels of one or two vectors.
constexpr int panel_vectors(int channels) { return channels % (2 * LANES) == 0 ? 2 : 1; }

// Sums of ROWS x COLUMNS pixels by V vectors of output channels. The loops over them must be unrolled completely: only
// then does the compiler keep the sums in registers.
template <int ROWS, int COLUMNS, int V> struct Tile {
  Vector sum[ROWS * COLUMNS][V];

  inline __attribute__((always_inline)) void start(const float *bias) {
#pragma GCC unroll 32
    for (int p = 0; p < ROWS * COLUMNS; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[p][v] = bias ? load(bias + v * LANES) : Vector{};
  }

  // One tap: sum += pixels (.., DEPTH channels) * weights (DEPTH, V vectors).
  template <int ROW_STEP, int STEP, int DEPTH>
  inline __attribute__((always_inline)) void add(const float *pixels, const float *weights) {
#pragma GCC unroll 1
    for (int k = 0; k < DEPTH; ++k) {
      Vector right[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        right[v] = load(weights + (k * V + v) * LANES);
#pragma GCC unroll 32
      for (int p = 0; p < ROWS * COLUMNS; ++p) {
        const float left = pixels[p / COLUMNS * ROW_STEP + p % COLUMNS * STEP + k];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
          sum[p][v] += left * right[v];
      }
    }
  }

  inline __attribute__((always_inline)) void activate(const float *scale, const float *shift, float slope) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Vector scales = load(scale + v * LANES), shifts = load(shift + v * LANES);
#pragma GCC unroll 32
      for (int p = 0; p < ROWS * COLUMNS; ++p)
        sum[p][v] = activated(sum[p][v] * scales + shifts, slope);
    }
  }

  template <int ROW_STEP, int STEP> inline __attribute__((always_inline)) void finish(float *out) const {
#pragma GCC unroll 32
    for (int p = 0; p < ROWS * COLUMNS; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        store(out + p / COLUMNS * ROW_STEP + p % COLUMNS * STEP + v * LANES, sum[p][v]);
  }
};

template <int N> struct Size { static constexpr int value = N; };
constexpr int smaller(int a, int b) { return a < b ? a : b; }

// Covers HEIGHT x WIDTH pixels with tiles: calls body(rows, columns, i, j), their sizes known to the compiler.
template <int HEIGHT, int WIDTH, int V, class Body> static inline void tiles(Body body) {
  constexpr int most = REGISTERS / V;
  constexpr int columns = smaller(WIDTH, most);
  constexpr int rows = columns == WIDTH ? smaller(HEIGHT, most / WIDTH) : 1;
  constexpr int rest_columns = WIDTH % columns, rest_rows = HEIGHT % rows;
  for (int i = 0; i + rows <= HEIGHT; i += rows) {
    for (int j = 0; j + columns <= WIDTH; j += columns)
      body(Size<rows>(), Size<columns>(), i, j);
    if constexpr (rest_columns != 0)
      body(Size<rows>(), Size<rest_columns>(), i, WIDTH - rest_columns);
  }
  if constexpr (rest_rows != 0)
    body(Size<rest_rows>(), Size<columns>(), HEIGHT - rest_rows, 0);
}
