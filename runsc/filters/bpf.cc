#include "runsc/filters/bpf.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>

namespace runsc::filters {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

class Compiler {
 public:
  Compiler(std::vector<Rule> rules, uint32_t deny) : rules_(std::move(rules)), deny_(deny) {}

  std::vector<sock_filter> Run() {
    Load(offsetof(seccomp_data, arch));
    Emit(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0);
    Return(SECCOMP_RET_KILL_PROCESS);
    Load(offsetof(seccomp_data, nr));
    Search(0, rules_.size());
    return std::move(out_);
  }

 private:
  void Emit(int code, uint32_t k, uint8_t jt = 0, uint8_t jf = 0) {
    out_.push_back({static_cast<uint16_t>(code), jt, jf, k});
  }
  void Load(size_t offset) { Emit(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void Return(uint32_t action) { Emit(BPF_RET | BPF_K, action); }
  // A jump whose distance is filled in by Land.
  size_t Jump() {
    Emit(BPF_JMP | BPF_JA, 0);
    return out_.size() - 1;
  }
  void Land(size_t jump) { out_[jump].k = static_cast<uint32_t>(out_.size() - jump - 1); }

  // The rules [begin, end), which are sorted; those of one call stay together.
  void Search(size_t begin, size_t end) {
    if (begin == end) return Return(deny_);
    if (rules_[begin].number == rules_[end - 1].number) return Leaf(begin, end);
    size_t middle = begin + (end - begin) / 2;
    while (middle > begin && rules_[middle - 1].number == rules_[middle].number) --middle;
    if (middle == begin) {
      while (rules_[middle].number == rules_[begin].number) ++middle;
    }
    Emit(BPF_JMP | BPF_JGE | BPF_K, rules_[middle].number, 0, 1);
    size_t right = Jump();
    Search(begin, middle);
    Land(right);
    Search(middle, end);
  }

  void Leaf(size_t begin, size_t end) {
    Emit(BPF_JMP | BPF_JEQ | BPF_K, rules_[begin].number, 1, 0);
    Return(deny_);
    for (size_t i = begin; i < end; ++i) {
      std::vector<size_t> misses;
      for (const Check& check : rules_[i].checks) AddCheck(check, &misses);
      Return(rules_[i].error != 0 ? SECCOMP_RET_ERRNO | rules_[i].error : SECCOMP_RET_ALLOW);
      if (misses.empty()) return;  // nothing is left to try
      for (size_t miss : misses) Land(miss);
    }
    Return(deny_);
  }

  void AddCheck(const Check& check, std::vector<size_t>* misses) {
    if (check.mask == 0) return;
    for (int half = 0; half < (check.wide ? 2 : 1); ++half) {
      uint32_t mask = static_cast<uint32_t>(check.mask >> (32 * half));
      uint32_t value = static_cast<uint32_t>(check.value >> (32 * half));
      if (mask == 0) continue;
      Load(offsetof(seccomp_data, args) + check.arg * 8u + static_cast<size_t>(half) * 4u);
      if (mask != UINT32_MAX) Emit(BPF_ALU | BPF_AND | BPF_K, mask);
      Emit(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
      misses->push_back(Jump());
    }
  }

  const std::vector<Rule> rules_;
  const uint32_t deny_;
  std::vector<sock_filter> out_;
};

}  // namespace

std::vector<sock_filter> Compile(std::span<const Rule> rules, uint32_t deny) {
  std::vector<Rule> sorted(rules.begin(), rules.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Rule& a, const Rule& b) { return a.number < b.number; });
  return Compiler(std::move(sorted), deny).Run();
}

}  // namespace runsc::filters
