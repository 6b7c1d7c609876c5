#include <cmath>
#include <cstring>

// Nothing here is shared with the kernels of another network in the same process.
namespace {

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

// Vectors of a panel.
constexpr int panel_vectors(int channels) { return channels % (2 * LANES) == 0 ? 2 : 1; }

// A tile: ROWS x COLUMNS pixels by V vectors of output channels.
template <int ROWS, int COLUMNS, int V> struct Tile {
  Vector sum[ROWS * COLUMNS][V];

  inline __attribute__((always_inline)) void start(const float *bias) {
#pragma GCC unroll 32
    for (int p = 0; p < ROWS * COLUMNS; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[p][v] = bias ? load(bias + v * LANES) : Vector{};
  }

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

// Calls body(rows, columns, i, j) with compile-time tile sizes to cover HEIGHT x WIDTH.
template <int N> struct Size { static constexpr int value = N; };
constexpr int smaller(int a, int b) { return a < b ? a : b; }

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

// Convolution and transposed convolution between a big image (BIG, BC channels) and a small one (SMALL, SC channels).
template <int BIG, int BC, int SMALL, int SC, int STRIDE> struct Level {
  static constexpr int big_row = (BIG + 2) * BC, small_row = (SMALL + 2) * SC; // padded
  static constexpr long big_pitch = (BIG + 2L) * big_row, small_pitch = (SMALL + 2L) * small_row;

  // weights of element (small channel, big channel, tap) at these steps -> panels of output channels, as gather reads them
  static void pack_gather(const float *weights, long small_step, long big_step, long tap_step, float *packed) {
    constexpr int width = panel_vectors(SC) * LANES;
    for (int panel = 0; panel < SC; panel += width)
      for (int tap = 0; tap < 9; ++tap)
        for (int k = 0; k < BC; ++k)
          for (int n = 0; n < width; ++n)
            *packed++ = weights[tap * tap_step + k * big_step + (panel + n) * small_step];
  }

  static void pack_scatter(const float *weights, long small_step, long big_step, long tap_step, float *packed) {
    if constexpr (BC == 1) {
      for (int tap = 0; tap < 9; ++tap)
        for (int k = 0; k < SC; ++k)
          *packed++ = weights[tap * tap_step + k * small_step];
    } else {
      constexpr int width = panel_vectors(BC) * LANES;
      for (int panel = 0; panel < BC; panel += width)
        for (int tap = 0; tap < 9; ++tap)
          for (int k = 0; k < SC; ++k)
            for (int n = 0; n < width; ++n)
              *packed++ = weights[tap * tap_step + k * small_step + (panel + n) * big_step];
    }
  }

  // ACTIVE: the output is activated and padded.
  template <bool ACTIVE>
  static void gather(const float *big, const float *packed, const float *bias, Activation activation, float *small,
                     int images) {
    constexpr int V = panel_vectors(SC), width = V * LANES, out_row = ACTIVE ? small_row : SMALL * SC;
    for (int image = 0; image < images; ++image) {
      const float *in = big + image * big_pitch;
      float *out = small + image * (ACTIVE ? small_pitch : (long)SMALL * SMALL * SC);
      if constexpr (ACTIVE) {
        frame<SC, SMALL>(out);
        out += small_row + SC;
      }
      for (int panel = 0; panel < SC / width; ++panel) {
        const float *weights = packed + (long)panel * 9 * BC * width;
        tiles<SMALL, SMALL, V>([&](auto rows, auto columns, int i, int j) {
          Tile<decltype(rows)::value, decltype(columns)::value, V> tile;
          tile.start(bias ? bias + panel * width : nullptr);
#pragma GCC unroll 1
          for (int tap = 0; tap < 9; ++tap)
            tile.template add<STRIDE * big_row, STRIDE * BC, BC>(
                in + (STRIDE * i + tap / 3) * big_row + (STRIDE * j + tap % 3) * BC, weights + tap * BC * width);
          if constexpr (ACTIVE)
            tile.activate(activation.scale + panel * width, activation.shift + panel * width, activation.slope);
          tile.template finish<out_row, SC>(out + i * out_row + j * SC + panel * width);
        });
      }
    }
  }

  template <bool ACTIVE>
  static void scatter(const float *small, const float *packed, const float *bias, Activation activation, float *big,
                      int images) {
    for (int image = 0; image < images; ++image) {
      const float *in = small + image * small_pitch + small_row + SC;
      float *out = big + image * (ACTIVE ? big_pitch : (long)BIG * BIG * BC);
      if constexpr (ACTIVE) {
        frame<BC, BIG>(out);
        out += big_row + BC;
      }
      if constexpr (BC == 1 && STRIDE == 1) {
        collapse<3, 3>(in - small_row - SC, packed, bias, out, 0, 0);
      } else if constexpr (BC == 1) {
        collapse<1, 1>(in - small_row - SC, packed, bias, out, 0, 0);
        collapse<1, 2>(in - small_row - SC, packed, bias, out, 0, 1);
        collapse<2, 1>(in - small_row - SC, packed, bias, out, 1, 0);
        collapse<2, 2>(in - small_row - SC, packed, bias, out, 1, 1);
      } else {
        quarter<ACTIVE, 0, 0>(in, packed, bias, activation, out);
        quarter<ACTIVE, 0, 1>(in, packed, bias, activation, out);
        quarter<ACTIVE, 1, 0>(in, packed, bias, activation, out);
        quarter<ACTIVE, 1, 1>(in, packed, bias, activation, out);
      }
    }
  }

  template <bool ACTIVE, int DOWN, int RIGHT>
  static void quarter(const float *in, const float *packed, const float *bias, Activation activation, float *out) {
    constexpr int V = panel_vectors(BC), width = V * LANES, out_row = ACTIVE ? big_row : BIG * BC;
    constexpr int height = (BIG + 1 - DOWN) / 2, across = (BIG + 1 - RIGHT) / 2;
    for (int panel = 0; panel < BC / width; ++panel) {
      const float *weights = packed + (long)panel * 9 * SC * width;
      tiles<height, across, V>([&](auto rows, auto columns, int i, int j) {
        Tile<decltype(rows)::value, decltype(columns)::value, V> tile;
        tile.start(bias ? bias + panel * width : nullptr);
#pragma GCC unroll 1
        for (int a = 0; a <= DOWN; ++a)
#pragma GCC unroll 1
          for (int b = 0; b <= RIGHT; ++b) {
            const int tap = (DOWN ? 2 - 2 * a : 1) * 3 + (RIGHT ? 2 - 2 * b : 1);
            tile.template add<small_row, SC, SC>(in + (i + a) * small_row + (j + b) * SC, weights + tap * SC * width);
          }
        if constexpr (ACTIVE)
          tile.activate(activation.scale + panel * width, activation.shift + panel * width, activation.slope);
        tile.template finish<2 * out_row, 2 * BC>(out + (2 * i + DOWN) * out_row + (2 * j + RIGHT) * BC + panel * width);
      });
    }
  }

  // The transposed convolution to one channel, for the outputs that DOWN x RIGHT taps reach, every STRIDE-th from (i, j).
  // Sums run over channels here: 16 partial sums at any width of vectors, so that this does not change the result.
  template <int DOWN, int RIGHT>
  static void collapse(const float *in, const float *packed, const float *bias, float *out, int first, int second) {
    constexpr int PARTS = 16 / LANES, P = 4;
    for (int i = first; i < BIG; i += STRIDE)
      for (int j = second; j < BIG; j += P * STRIDE) {
        const int count = smaller(P, (BIG - j + STRIDE - 1) / STRIDE);
        Vector sum[P][PARTS] = {};
        for (int a = 0; a < DOWN; ++a)
          for (int b = 0; b < RIGHT; ++b) {
            const int tap = (STRIDE == 1 ? 2 - a : DOWN == 1 ? 1 : 2 - 2 * a) * 3 + (STRIDE == 1 ? 2 - b : RIGHT == 1 ? 1 : 2 - 2 * b);
            const float *pixels = in + (i / STRIDE + a + (STRIDE == 2)) * small_row + (j / STRIDE + b + (STRIDE == 2)) * SC;
            for (int k = 0; k < SC; k += 16)
#pragma GCC unroll 4
              for (int part = 0; part < PARTS; ++part) {
                const Vector weights = load(packed + tap * SC + k + part * LANES);
#pragma GCC unroll 4
                for (int p = 0; p < P; ++p)
                  sum[p][part] += load(pixels + (p < count ? p : 0) * SC + k + part * LANES) * weights;
              }
          }
        for (int p = 0; p < count; ++p) {
          float parts[16];
          for (int part = 0; part < PARTS; ++part)
            store(parts + part * LANES, sum[p][part]);
          for (int half = 8; half > 0; half /= 2)
            for (int k = 0; k < half; ++k)
              parts[k] += parts[k + half];
          out[i * BIG + j + p * STRIDE] = parts[0] + (bias ? *bias : 0);
        }
      }
  }

  static constexpr int CHUNK = SMALL >= 14 ? 1 : SMALL >= 7 ? 4 : 8;
  static void weigh(const float *big, const float *small, float *gradient, int images) {
    constexpr bool one = BC == 1; // the nine taps take the place of channels
    constexpr int V = one && 9 * 2 > REGISTERS ? 1 : panel_vectors(SC), width = V * LANES;
    constexpr int P = one ? 9 : 8 * V <= REGISTERS ? 8 : 4;
    std::memset(gradient, 0, sizeof(float) * 9 * BC * SC);
    for (int first = 0; first < images; first += CHUNK) {
      const int last = first + CHUNK < images ? first + CHUNK : images;
      for (int tap = 0; tap < (one ? 1 : 9); ++tap)
        for (int channel = 0; channel < BC; channel += P)
          for (int panel = 0; panel < SC / width; ++panel) {
            Vector sum[P][V] = {};
            for (int image = first; image < last; ++image)
              for (int i = 0; i < SMALL; ++i) {
                const float *left = big + image * big_pitch + (STRIDE * i + tap / 3) * big_row + tap % 3 * BC + channel;
                const float *right = small + image * small_pitch + (i + 1) * small_row + SC + panel * width;
#pragma GCC unroll 1
                for (int j = 0; j < SMALL; ++j) {
                  Vector value[V];
#pragma GCC unroll 4
                  for (int v = 0; v < V; ++v)
                    value[v] = load(right + j * SC + v * LANES);
#pragma GCC unroll 16
                  for (int p = 0; p < P; ++p) {
                    const float factor = left[STRIDE * j * BC + (one ? p / 3 * big_row + p % 3 : p)];
#pragma GCC unroll 4
                    for (int v = 0; v < V; ++v)
                      sum[p][v] += factor * value[v];
                  }
                }
              }
            float *to = gradient + ((long)tap * BC + channel) * SC + panel * width;
#pragma GCC unroll 16
            for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
              for (int v = 0; v < V; ++v)
                store(to + p * SC + v * LANES, load(to + p * SC + v * LANES) + sum[p][v]);
          }
    }
  }
};

template <int C, int SIZE> struct Norm {
  static constexpr int VECTORS = C / LANES, PIXELS = SIZE * SIZE;
  static constexpr long row = (SIZE + 2L) * C, pitch = (SIZE + 2L) * row;

  // saved: mean, 1/deviation, scale, shift of each channel
  static void statistics(const float *values, const float *gamma, const float *beta, float *running_mean,
                         float *running_variance, float momentum, float epsilon, float *saved, int images) {
    double means[C] = {}, squares[C] = {}, within[C] = {};
    float mean[C], rest[C];
    for (int image = 0; image < images; ++image) {
      const float *from = values + (long)image * PIXELS * C;
      Vector sum[VECTORS] = {};
      for (int pixel = 0; pixel < PIXELS; ++pixel)
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; ++v)
          sum[v] += load(from + pixel * C + v * LANES);
      Vector square[VECTORS] = {};
#pragma GCC unroll 16
      for (int v = 0; v < VECTORS; ++v)
        sum[v] *= 1.0f / PIXELS;
      for (int pixel = 0; pixel < PIXELS; ++pixel)
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; ++v) {
          const Vector away = load(from + pixel * C + v * LANES) - sum[v];
          square[v] += away * away;
        }
      for (int v = 0; v < VECTORS; ++v)
        store(mean + v * LANES, sum[v]), store(rest + v * LANES, square[v]);
      for (int c = 0; c < C; ++c) {
        means[c] += mean[c];
        squares[c] += (double)mean[c] * mean[c];
        within[c] += rest[c];
      }
    }
    const double count = (double)images * PIXELS;
    for (int c = 0; c < C; ++c) {
      const double average = means[c] / images;
      const double between = squares[c] - images * average * average;
      const double variance = (within[c] + PIXELS * (between > 0 ? between : 0)) / count;
      running_mean[c] += momentum * ((float)average - running_mean[c]);
      running_variance[c] += momentum * ((float)(variance * count / (count - 1)) - running_variance[c]);
      const float inverse = (float)(1 / std::sqrt(variance + epsilon));
      saved[c] = (float)average, saved[C + c] = inverse;
      saved[2 * C + c] = gamma[c] * inverse, saved[3 * C + c] = beta[c] - (float)average * gamma[c] * inverse;
    }
  }

  // out (padded) = leaky(values * scale + shift)
  static void apply(const float *values, const float *scale, const float *shift, float slope, float *out, int images) {
    Vector scales[VECTORS], shifts[VECTORS];
    for (int v = 0; v < VECTORS; ++v)
      scales[v] = load(scale + v * LANES), shifts[v] = load(shift + v * LANES);
    for (int image = 0; image < images; ++image) {
      float *to = out + image * pitch;
      frame<C, SIZE>(to);
      for (int i = 0; i < SIZE; ++i) {
        const float *from = values + ((long)image * PIXELS + i * SIZE) * C;
        float *line = to + (i + 1) * row + C;
        for (int j = 0; j < SIZE; ++j)
#pragma GCC unroll 16
          for (int v = 0; v < VECTORS; ++v)
            store(line + j * C + v * LANES,
                  activated(load(from + j * C + v * LANES) * scales[v] + shifts[v], slope));
      }
    }
  }

  // gradient of the values from that of the activated ones
  static void backward(const float *upper, const float *values, const float *saved, float slope, float *gradient,
                       float *gamma_gradient, float *beta_gradient, int images) {
    Vector mean[VECTORS], inverse[VECTORS], scale[VECTORS], shift[VECTORS];
    for (int v = 0; v < VECTORS; ++v) {
      mean[v] = load(saved + v * LANES), inverse[v] = load(saved + C + v * LANES);
      scale[v] = load(saved + 2 * C + v * LANES), shift[v] = load(saved + 3 * C + v * LANES);
    }
    double sums[C] = {}, products[C] = {};
    float one[C], other[C];
    for (int image = 0; image < images; ++image) {
      const float *above = upper + (long)image * PIXELS * C, *value = values + (long)image * PIXELS * C;
      Vector sum[VECTORS] = {}, product[VECTORS] = {};
      for (int pixel = 0; pixel < PIXELS; ++pixel)
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; ++v) {
          const Vector y = load(value + pixel * C + v * LANES), g = load(above + pixel * C + v * LANES);
          const Vector inner = y * scale[v] + shift[v] > 0 ? g : g * slope;
          sum[v] += inner;
          product[v] += inner * ((y - mean[v]) * inverse[v]);
        }
      for (int v = 0; v < VECTORS; ++v)
        store(one + v * LANES, sum[v]), store(other + v * LANES, product[v]);
      for (int c = 0; c < C; ++c)
        sums[c] += one[c], products[c] += other[c];
    }
    const double count = (double)images * PIXELS;
    for (int c = 0; c < C; ++c) {
      beta_gradient[c] = (float)sums[c], gamma_gradient[c] = (float)products[c];
      one[c] = (float)(sums[c] / count), other[c] = (float)(products[c] / count);
    }
    Vector constant[VECTORS], linear[VECTORS];
    for (int v = 0; v < VECTORS; ++v)
      constant[v] = load(one + v * LANES), linear[v] = load(other + v * LANES) * inverse[v];
    for (int image = 0; image < images; ++image) {
      frame<C, SIZE>(gradient + image * pitch);
      for (int i = 0; i < SIZE; ++i) {
        const long start = ((long)image * PIXELS + i * SIZE) * C;
        float *line = gradient + image * pitch + (i + 1) * row + C;
        for (int j = 0; j < SIZE; ++j)
#pragma GCC unroll 16
          for (int v = 0; v < VECTORS; ++v) {
            const Vector y = load(values + start + j * C + v * LANES), g = load(upper + start + j * C + v * LANES);
            const Vector inner = y * scale[v] + shift[v] > 0 ? g : g * slope;
            store(line + j * C + v * LANES, scale[v] * (inner - constant[v] - (y - mean[v]) * linear[v]));
          }
      }
    }
  }
};

} // namespace

#define LEVEL(BIG, BC, SMALL, SC, STRIDE)                                                                              \
  typedef Level<BIG, BC, SMALL, SC, STRIDE> Level_##BIG##_##BC##_##SC##_##STRIDE;                                      \
  CONVOLUTIONS(Level_##BIG##_##BC##_##SC##_##STRIDE, BIG##_##BC##_##SC##_##STRIDE)

#define CONVOLUTIONS(TYPE, NAME)                                                                                       \
  extern "C" void pack_gather_##NAME(const float *w, long s, long b, long t, float *o) {                               \
    TYPE::pack_gather(w, s, b, t, o);                                                                                  \
  }                                                                                                                    \
  extern "C" void pack_scatter_##NAME(const float *w, long s, long b, long t, float *o) {                              \
    TYPE::pack_scatter(w, s, b, t, o);                                                                                 \
  }                                                                                                                    \
  extern "C" void gather_##NAME(const float *a, const float *w, const float *b, float *o, int n) {                     \
    TYPE::gather<false>(a, w, b, {}, o, n);                                                                            \
  }                                                                                                                    \
  extern "C" void scatter_##NAME(const float *a, const float *w, const float *b, float *o, int n) {                    \
    TYPE::scatter<false>(a, w, b, {}, o, n);                                                                           \
  }                                                                                                                    \
  extern "C" void gather_active_##NAME(const float *a, const float *w, const float *b, const float *c, const float *s, \
                                       float l, float *o, int n) {                                                     \
    TYPE::gather<true>(a, w, b, {c, s, l}, o, n);                                                                      \
  }                                                                                                                    \
  extern "C" void scatter_active_##NAME(const float *a, const float *w, const float *b, const float *c, const float *s,\
                                        float l, float *o, int n) {                                                    \
    TYPE::scatter<true>(a, w, b, {c, s, l}, o, n);                                                                     \
  }                                                                                                                    \
  extern "C" void weigh_##NAME(const float *a, const float *b, float *o, int n) { TYPE::weigh(a, b, o, n); }

#define NORM(C, SIZE)                                                                                                  \
  extern "C" void statistics_##C##_##SIZE(const float *y, const float *g, const float *b, float *m, float *v, float o, \
                                          float e, float *s, int n) {                                                  \
    Norm<C, SIZE>::statistics(y, g, b, m, v, o, e, s, n);                                                              \
  }                                                                                                                    \
  extern "C" void activate_##C##_##SIZE(const float *y, const float *a, const float *b, float s, float *o, int n) {       \
    Norm<C, SIZE>::apply(y, a, b, s, o, n);                                                                            \
  }                                                                                                                    \
  extern "C" void activation_gradient_##C##_##SIZE(const float *u, const float *y, const float *s, float l, float *d, float *g,   \
                                        float *b, int n) {                                                             \
    Norm<C, SIZE>::backward(u, y, s, l, d, g, b, n);                                                                   \
  }
