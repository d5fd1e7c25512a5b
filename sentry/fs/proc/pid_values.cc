// Files of one value that a process's own or its betters set.

#include <linux/capability.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "platform/base/strings.h"
#include "sentry/fs/proc/proc_fs.h"
#include "sentry/kernel/group_state.h"
#include "sentry/kernel/task_state.h"

namespace runsc {
namespace {

// A whole number, with at most a newline after it; base 0: in C's notation. EINVAL; ERANGE above
// `most`.
ErrnoOr<uint64_t> ParseNumber(std::string_view text, uint64_t most, int base) {
  std::string copy(text);
  if (!copy.empty() && copy.back() == '\n') copy.pop_back();
  if (!copy.empty() && copy[0] == '+') copy.erase(0, 1);
  if (copy.empty() || copy[0] < '0' || copy[0] > '9') return Errno::kInval;
  char* end = nullptr;
  errno = 0;
  uint64_t value = std::strtoull(copy.c_str(), &end, base);
  if (end != copy.c_str() + copy.size()) return Errno::kInval;
  if (errno == ERANGE || value > most) return Errno::kRange;
  return value;
}

// comm can be written by its own process.
class CommFile final : public TaskTextInode {
 public:
  CommFile(Ref<ProcFs> fs, Ref<Task> task) : TaskTextInode(std::move(fs), std::move(task), 0644) {}
  ErrnoOr<std::string> Text(const OpContext&) override { return task_->name() + "\n"; }
  Status Store(const OpContext& ctx, std::string_view text) override {
    if (ctx.task == nullptr || &ctx.task->group() != &task_->group()) return Errno::kInval;
    task_->SetName(text.substr(0, text.find('\n')));
    return Ok();
  }
};

// oom_score_adj: kept per process; there is no killer of ours that would read it.
class OomAdjFile final : public TaskTextInode {
 public:
  OomAdjFile(Ref<ProcFs> fs, Ref<Task> task)
      : TaskTextInode(std::move(fs), std::move(task), 0644) {}
  ErrnoOr<std::string> Text(const OpContext&) override {
    return std::to_string(task_->group().state().oom_score_adj.load()) + "\n";
  }
  Status Store(const OpContext& ctx, std::string_view text) override {
    int value = 0;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return Errno::kInval;
    if (value < -1000 || value > 1000) return Errno::kInval;
    if (value < task_->group().state().oom_score_adj.load() &&
        !ctx.creds.HasCap(CAP_SYS_RESOURCE)) {
      return Errno::kAcces;
    }
    task_->group().state().oom_score_adj = value;
    return Ok();
  }
};

// timerslack_ns (prctl(2) PR_SET_TIMERSLACK) of the process's first thread.
class TimerSlackFile final : public TaskTextInode {
 public:
  TimerSlackFile(Ref<ProcFs> fs, Ref<Task> task)
      : TaskTextInode(std::move(fs), std::move(task), 0666) {}
  ErrnoOr<std::string> Text(const OpContext& ctx) override {
    TRY(Check(ctx));
    uint64_t slack = IsRealtime() ? 0 : task_->state().timer_slack.load();
    return std::to_string(slack) + "\n";
  }
  Status Store(const OpContext& ctx, std::string_view text) override {
    uint64_t slack = TRY(ParseNumber(text, UINT64_MAX, 10));
    TRY(Check(ctx));
    if (IsRealtime()) return Ok();
    TaskState& state = task_->state();
    state.timer_slack = slack == 0 ? state.default_timer_slack : slack;
    return Ok();
  }

 private:
  bool IsRealtime() {
    int policy = task_->state().sched.policy.load();
    constexpr int kFifo = 1, kRoundRobin = 2;
    return policy == kFifo || policy == kRoundRobin;
  }
  Status Check(const OpContext& ctx) {
    if (ctx.task == task_.get()) return Ok();
    Ref<const Credentials> theirs = task_->SharedCreds();
    if (!theirs) return Errno::kSrch;
    return ctx.creds.HasCapIn(CAP_SYS_NICE, theirs->user_ns.get()) ? Ok() : Status(Errno::kPerm);
  }
};

// coredump_filter: which mappings a core has (core(5)); kept, as we write none.
class CoredumpFilterFile final : public TaskTextInode {
 public:
  CoredumpFilterFile(Ref<ProcFs> fs, Ref<Task> task)
      : TaskTextInode(std::move(fs), std::move(task), 0644) {}
  ErrnoOr<std::string> Text(const OpContext&) override {
    if (!task_->SharedMm()) return std::string();
    return StrPrintf("%08x\n", task_->group().state().coredump_filter.load());
  }
  Status Store(const OpContext&, std::string_view text) override {
    constexpr uint32_t kBits = 0x1ff;
    uint64_t value = TRY(ParseNumber(text, UINT32_MAX, 0));
    if (!task_->SharedMm()) return Errno::kSrch;
    task_->group().state().coredump_filter = static_cast<uint32_t>(value) & kBits;
    return Ok();
  }
};

}  // namespace

Ref<SyntheticInode> NewTaskValue(const Ref<ProcFs>& fs, const Ref<Task>& task,
                                 std::string_view name, bool thread) {
  if (name == "comm") return MakeRef<CommFile>(fs, task);
  if (name == "oom_score_adj") return MakeRef<OomAdjFile>(fs, task);
  if (thread) return nullptr;
  if (name == "timerslack_ns") return MakeRef<TimerSlackFile>(fs, task);
  if (name == "coredump_filter") return MakeRef<CoredumpFilterFile>(fs, task);
  return nullptr;
}

}  // namespace runsc
