// Batch norm and leaky ReLU of C channels on SIZE x SIZE images.
//
// Sums run over an image's pixels in single precision, about the image's own mean, and over images in double.
template <int C, int SIZE> struct Norm {
  static constexpr int VECTORS = C / LANES, PIXELS = SIZE * SIZE;
  static constexpr long row = (SIZE + 2L) * C, pitch = (SIZE + 2L) * row;

  // saved (4, C): mean, 1 / std, and scale and shift that norm a value.
  static void statistics(const float *values, const float *gamma, const float *beta, float *running_mean,
                         float *running_variance, float momentum, float epsilon, float *saved, int images) {
    std::vector<float> parts(2L * images * C); // of each image: means, and squares about them
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
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
      float *part = parts.data() + 2L * image * C;
      for (int v = 0; v < VECTORS; ++v)
        store(part + v * LANES, sum[v]), store(part + C + v * LANES, square[v]);
    }
    double means[C] = {}, squares[C] = {}, within[C] = {};
    for (int image = 0; image < images; ++image)
      for (int c = 0; c < C; ++c) {
        const double mean = parts[2L * image * C + c];
        means[c] += mean;
        squares[c] += mean * mean;
        within[c] += parts[(2L * image + 1) * C + c];
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

  // out, with its frame, = leaky(values * scale + shift)
  static void apply(const float *values, const float *scale, const float *shift, float slope, float *out, int images) {
    Vector scales[VECTORS], shifts[VECTORS];
    for (int v = 0; v < VECTORS; ++v)
      scales[v] = load(scale + v * LANES), shifts[v] = load(shift + v * LANES);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
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

  // gradient, with its frame, of the values from `upper`, that of the activated ones.
  static void backward(const float *upper, const float *values, const float *saved, float slope, float *gradient,
                       float *gamma_gradient, float *beta_gradient, int images) {
    Vector mean[VECTORS], inverse[VECTORS], scale[VECTORS], shift[VECTORS];
    for (int v = 0; v < VECTORS; ++v) {
      mean[v] = load(saved + v * LANES), inverse[v] = load(saved + C + v * LANES);
      scale[v] = load(saved + 2 * C + v * LANES), shift[v] = load(saved + 3 * C + v * LANES);
    }
    std::vector<float> parts(2L * images * C); // of each image: sums, and products with the normed values
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
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
      float *part = parts.data() + 2L * image * C;
      for (int v = 0; v < VECTORS; ++v)
        store(part + v * LANES, sum[v]), store(part + C + v * LANES, product[v]);
    }
    double sums[C] = {}, products[C] = {};
    for (int image = 0; image < images; ++image)
      for (int c = 0; c < C; ++c)
        sums[c] += parts[2L * image * C + c], products[c] += parts[(2L * image + 1) * C + c];
    float one[C], other[C];
    const double count = (double)images * PIXELS;
    for (int c = 0; c < C; ++c) {
      beta_gradient[c] = (float)sums[c], gamma_gradient[c] = (float)products[c];
      one[c] = (float)(sums[c] / count), other[c] = (float)(products[c] / count);
    }
    Vector constant[VECTORS], linear[VECTORS];
    for (int v = 0; v < VECTORS; ++v)
      constant[v] = load(one + v * LANES), linear[v] = load(other + v * LANES) * inverse[v];
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
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
