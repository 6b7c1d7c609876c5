// 3 x 3 convolution and transposed convolution between a big image (BIG x BIG, BC channels) and a small one.
//
// gather: small[i, j] = bias + sum over taps of big[STRIDE i + tap / 3 - 1, STRIDE j + tap % 3 - 1] * weights[tap]
// scatter: its transpose, computed from the side of its outputs: each is reached by 1, 2 or 4 of the 9 taps.
// weigh: the gradient of the weights of both.
// Inputs have a frame of one zero pixel, so that no tap needs a test.
template <int BIG, int BC, int SMALL, int SC, int STRIDE> struct Level {
  static constexpr int big_row = (BIG + 2) * BC, small_row = (SMALL + 2) * SC; // padded
  static constexpr long big_pitch = (BIG + 2L) * big_row, small_pitch = (SMALL + 2L) * small_row;

  // Panels of output channels, (panel, tap, input channel, output channel), from weights at any steps.
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
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
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
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
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

  // Which of three taps in a line is the n-th of the COUNT that reach an output.
  template <int COUNT> static constexpr int tap_of(int n) { return COUNT == 3 ? 2 - n : COUNT == 2 ? 2 - 2 * n : 1; }

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
            const int tap = tap_of<DOWN + 1>(a) * 3 + tap_of<RIGHT + 1>(b);
            tile.template add<small_row, SC, SC>(in + (i + a) * small_row + (j + b) * SC, weights + tap * SC * width);
          }
        if constexpr (ACTIVE)
          tile.activate(activation.scale + panel * width, activation.shift + panel * width, activation.slope);
        tile.template finish<2 * out_row, 2 * BC>(out + (2 * i + DOWN) * out_row + (2 * j + RIGHT) * BC +
                                                  panel * width);
      });
    }
  }

  // The transposed convolution to one channel, for those outputs, every STRIDE-th from (first, second), that DOWN x RIGHT
  // taps reach. Sums run over channels here: 16 partial sums at any width of vectors, so that it does not change bits.
  template <int DOWN, int RIGHT>
  static void collapse(const float *in, const float *packed, const float *bias, float *out, int first, int second) {
    constexpr int PARTS = 16 / LANES, P = 4;
    for (int i = first; i < BIG; i += STRIDE)
      for (int j = second; j < BIG; j += P * STRIDE) {
        const int count = smaller(P, (BIG - j + STRIDE - 1) / STRIDE);
        Vector sum[P][PARTS] = {};
        for (int a = 0; a < DOWN; ++a)
          for (int b = 0; b < RIGHT; ++b) {
            const int tap = tap_of<DOWN>(a) * 3 + tap_of<RIGHT>(b), start = STRIDE == 2;
            const float *pixels = in + (i / STRIDE + a + start) * small_row + (j / STRIDE + b + start) * SC;
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

  // Images whose values stay in the cache while all outputs use them.
  static constexpr int CHUNK = SMALL >= 14 ? 1 : SMALL >= 7 ? 4 : 8;
  static void weigh(const float *big, const float *small, float *gradient, int images) {
    constexpr bool one = BC == 1; // the nine taps take the place of channels
    constexpr int V = one && 9 * 2 > REGISTERS ? 1 : panel_vectors(SC), width = V * LANES;
    constexpr int P = one ? 9 : 8 * V <= REGISTERS ? 8 : 4;
    constexpr int blocks = BC / (one ? 1 : P), taps = one ? 1 : 9;
    std::memset(gradient, 0, sizeof(float) * 9 * BC * SC);
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (int first = 0; first < images; first += CHUNK) {
      const int last = smaller(first + CHUNK, images);
      // A thread has the same outputs in every chunk, and need not wait for the others in between.
#pragma omp for schedule(static) nowait
      for (int share = 0; share < taps * blocks; ++share) {
        const int tap = share / blocks, channel = share % blocks * P;
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
  }
};
