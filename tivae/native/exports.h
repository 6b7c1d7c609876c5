// C names for the levels and norms of one network, whose list follows this text.

} // namespace

extern "C" void use_threads(int count) { threads = count; }

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
  extern "C" void activate_##C##_##SIZE(const float *y, const float *a, const float *b, float s, float *o, int n) {    \
    Norm<C, SIZE>::apply(y, a, b, s, o, n);                                                                            \
  }                                                                                                                    \
  extern "C" void activation_gradient_##C##_##SIZE(const float *u, const float *y, const float *s, float l, float *d,  \
                                                   float *g, float *b, int n) {                                        \
    Norm<C, SIZE>::backward(u, y, s, l, d, g, b, n);                                                                   \
  }
