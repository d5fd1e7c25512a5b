#ifndef SENTRY_LOADER_EXEC_FILE_H_
#define SENTRY_LOADER_EXEC_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "sentry/kernel/program_loader.h"

namespace runsc {

// A file opened for execution: writing to it is denied (ETXTBSY) while this or a program that was
// made from it lives.
class ExecFile {
 public:
  // do_open_execat: ENOENT, EACCES (not regular, no permission, noexec mount), ELOOP, ETXTBSY…
  static ErrnoOr<ExecFile> Open(const LoadRequest& request, std::string_view path, bool follow);
  // What a #! line or PT_INTERP names.
  static ErrnoOr<ExecFile> OpenInterpreter(const LoadRequest& request, std::string_view path);
  // An open file to execute (execveat(2) with AT_EMPTY_PATH).
  static ErrnoOr<ExecFile> Adopt(const LoadRequest& request, const Ref<File>& file);

  // `size` bytes at `offset`; EIO if the file ends before.
  Status ReadExact(void* out, size_t size, uint64_t offset) const;
  // The first bytes, zeros after the end: what says which kind of program this is.
  static constexpr size_t kHeadSize = 256;
  ErrnoOr<std::array<char, kHeadSize>> ReadHead() const;

  ErrnoOr<Ref<Mappable>> Map(Access access) const { return file_->Map(false, access); }
  // What /proc/pid/exe and mm keep.
  const Ref<File>& executable() const { return denial_; }
  const Path& path() const { return file_->path(); }
  bool readable() const { return readable_; }

 private:
  static ErrnoOr<ExecFile> OpenPath(const LoadRequest& request, const Path& path);

  Ref<File> file_;
  Ref<File> denial_;
  bool readable_ = false;  // by the one who executes
  Ref<const Credentials> creds_;
};

}  // namespace runsc

#endif  // SENTRY_LOADER_EXEC_FILE_H_
