#ifndef PLATFORM_BASE_RANK_LAYER_H_
#define PLATFORM_BASE_RANK_LAYER_H_

namespace runsc {

namespace internal {
#ifdef RUNSC_CHECK_RANKS
int RankEnterLayer();
void RankLeaveLayer(int outer);
#else
inline int RankEnterLayer() { return 0; }
inline void RankLeaveLayer(int) {}
#endif
}  // namespace internal

// While it lives, lock ranks are checked against locks taken since only. For calls from one layer
// of stacked objects of a kind (a file system over another) into the one below, which never calls
// up and whose locks nothing else takes.
class RankLayer {
 public:
  RankLayer() : outer_(internal::RankEnterLayer()) {}
  ~RankLayer() { internal::RankLeaveLayer(outer_); }
  RankLayer(const RankLayer&) = delete;

 private:
  const int outer_;
};

}  // namespace runsc

#endif  // PLATFORM_BASE_RANK_LAYER_H_
