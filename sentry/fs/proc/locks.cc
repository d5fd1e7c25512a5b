#include "platform/base/strings.h"
#include "sentry/fs/proc/kernel_text.h"
#include "sentry/vfs/file_locks.h"

namespace runsc {
namespace {

const char* KindOf(const LockRow& row) {
  switch (row.kind) {
    case LockRow::kPosix:
      return "POSIX ";
    case LockRow::kOfd:
      return "OFDLCK";
    case LockRow::kFlock:
      return "FLOCK ";
  }
  __builtin_unreachable();
}

Tid PidOf(const LockRow& row, Kernel& kernel, PidNamespace& ns) {
  return row.kind == LockRow::kOfd ? -1 : kernel.PidAsSeen(ns, row.pid);
}

// proc(5), /proc/locks. `id` numbers the locks; who waits for one has the same.
std::string Line(int id, const LockRow& row, Tid pid, const Attr& attr) {
  DeviceId dev = DecodeDevice(attr.dev);
  std::string out = StrPrintf("%d: ", id);
  if (row.level > 0) out += std::string(static_cast<size_t>(row.level) - 1, ' ') + "-> ";
  out +=
      StrPrintf("%s ADVISORY  %s %d %02x:%02x:%llu ", KindOf(row), row.exclusive ? "WRITE" : "READ",
                pid, dev.major, dev.minor, static_cast<unsigned long long>(attr.ino));
  out += StrPrintf("%llu ", static_cast<unsigned long long>(row.start));
  if (row.end == kLockEnd) return out + "EOF\n";
  return out + StrPrintf("%llu\n", static_cast<unsigned long long>(row.end - 1));
}

}  // namespace

std::string LocksText(Kernel& kernel, PidNamespace& ns) {
  std::string out;
  int id = 0;
  for (const FileLocks::OfInode& of : FileLocks::All()) {
    ErrnoOr<Attr> attr = of.inode->GetAttr();
    bool hidden = false;
    for (const LockRow& row : of.rows) {
      Tid pid = PidOf(row, kernel, ns);
      if (row.level == 0) {
        ++id;
        hidden = pid == 0;  // with all that wait for it
      }
      if (!hidden) out += Line(id, row, pid, attr.ok() ? *attr : Attr());
    }
  }
  return out;
}

std::string FdLocksText(Kernel& kernel, PidNamespace& ns, File& file, uint64_t table_id) {
  std::string out;
  FileLocks* locks = file.is_path_only() ? nullptr : file.inode().locks_if_any();
  if (locks == nullptr) return out;
  ErrnoOr<Attr> attr = file.inode().GetAttr();
  int id = 0;
  for (const LockRow& row : locks->Rows()) {
    if (row.level > 0 || row.file_id != file.id()) continue;
    if (row.kind == LockRow::kPosix && row.owner != table_id) continue;
    out += "lock:\t" + Line(++id, row, PidOf(row, kernel, ns), attr.ok() ? *attr : Attr());
  }
  return out;
}

}  // namespace runsc
