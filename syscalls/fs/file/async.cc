#include "syscalls/fs/file/async.h"

#include <asm/sockios.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "platform/abi/file.h"
#include "sentry/kernel/io_signal.h"

namespace runsc {
namespace {

constexpr int32_t kGetOwnerUids = 17;  // F_GETOWNER_UIDS

// F_SETOWN, FIOSETOWN: a negative number is a process group.
Status SetOwner(Task& t, File& file, int32_t who) {
  if (who == INT32_MIN) return Errno::kInval;
  IoSignal::Kind kind = who < 0 ? IoSignal::Kind::kGroup : IoSignal::Kind::kProcess;
  return IoSignal::Of(file)->SetOwner(t, kind, who < 0 ? -who : who);
}

int32_t GetOwner(Task& t, File& file) {
  Ref<IoSignal> io = IoSignal::Find(file);
  if (!io) return 0;
  IoSignal::Owner owner = io->GetOwner(t);
  return owner.kind == IoSignal::Kind::kGroup ? -owner.id : owner.id;
}

Status SetOwnerEx(Task& t, File& file, UserAddr arg) {
  abi::FOwnerEx ex = TRY(t.mem().Get<abi::FOwnerEx>(arg));
  if (ex.type < F_OWNER_TID || ex.type > F_OWNER_PGRP) return Errno::kInval;
  return IoSignal::Of(file)->SetOwner(t, static_cast<IoSignal::Kind>(ex.type), ex.pid);
}

Status GetOwnerEx(Task& t, File& file, UserAddr arg) {
  Ref<IoSignal> io = IoSignal::Find(file);
  IoSignal::Owner owner = io ? io->GetOwner(t) : IoSignal::Owner();
  return t.mem().Put(arg, abi::FOwnerEx{static_cast<int32_t>(owner.kind), owner.id});
}

Status GetOwnerUids(Task& t, File& file, UserAddr arg) {
  Ref<IoSignal> io = IoSignal::Find(file);
  IoSignal::Ids ids = io ? io->owner_ids() : IoSignal::Ids();
  const UserNamespace& ns = *t.creds().user_ns;
  uint32_t out[2] = {ns.UidFromKernel(ids.real), ns.UidFromKernel(ids.effective)};
  return t.mem().Put(arg, out);
}

}  // namespace

ErrnoOr<bool> SetAsync(Task& t, FdNum fd, File& file, bool on) {
  AsyncLists lists = TRY(file.async_lists());
  if (lists.in == nullptr && lists.out == nullptr) return false;
  if (on) {
    Ref<IoSignal> io = IoSignal::Of(file);
    io->SetDescriptor(fd);
    if (lists.default_owner) {
      auto* tty = dynamic_cast<TerminalFile*>(&file);
      io->SetDefaultOwner(t, tty != nullptr ? tty->terminal()->Foreground() : nullptr);
    }
  }
  return file.SetAsync(on);
}

Status SetAsyncFromInt(Task& t, FdNum fd, File& file, UserAddr arg) {
  bool on = TRY(t.mem().Get<int32_t>(arg)) != 0;
  if (((file.flags() & O_ASYNC) != 0) == on) return Ok();
  return TRY(SetAsync(t, fd, file, on)) ? Ok() : Status(Errno::kNotty);
}

std::optional<ErrnoOr<int64_t>> OwnerCommand(Task& t, File& file, int32_t command, uint64_t arg) {
  auto done = [](Status s) -> ErrnoOr<int64_t> {
    TRY(s);
    return 0;
  };
  int32_t number = static_cast<int32_t>(arg);
  switch (command) {
    case F_SETOWN:
      return done(SetOwner(t, file, number));
    case F_GETOWN:
      return GetOwner(t, file);
    case F_SETOWN_EX:
      return done(SetOwnerEx(t, file, UserAddr(arg)));
    case F_GETOWN_EX:
      return done(GetOwnerEx(t, file, UserAddr(arg)));
    case kGetOwnerUids:
      return done(GetOwnerUids(t, file, UserAddr(arg)));
    case F_SETSIG:
      if (number < 0 || number > 64) return Errno::kInval;
      IoSignal::Of(file)->SetSignal(number);
      return 0;
    case F_GETSIG: {
      Ref<IoSignal> io = IoSignal::Find(file);
      return io ? io->signal() : 0;
    }
    default:
      return std::nullopt;
  }
}

ErrnoOr<int64_t> SocketOwnerIoctl(Task& t, File& file, uint32_t command, UserAddr arg) {
  if (command == FIOSETOWN || command == SIOCSPGRP) {
    TRY(SetOwner(t, file, TRY(t.mem().Get<int32_t>(arg))));
  } else {
    TRY(t.mem().Put(arg, GetOwner(t, file)));
  }
  return 0;
}

}  // namespace runsc
