#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>

#include "platform/host/file.h"
#include "platform/host/process.h"
#include "runsc/container/store.h"

namespace runsc::container {
namespace {

constexpr size_t kMaxState = 16u << 20;

HostError NoContainer() { return {"container does not exist", ENOENT}; }

}  // namespace

HostStatus CheckId(const std::string& id) {
  auto allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '+' || c == '-' || c == '.';
  };
  if (id.empty() || id.size() > 255 || id == "." || id == ".." ||
      !std::all_of(id.begin(), id.end(), allowed)) {
    return TextError("invalid container id \"%s\": use letters, digits and _+-. (at most 255)",
                     id.substr(0, 300).c_str());
  }
  return HostOk();
}

HostOr<Fd> Store::OpenRoot(bool create) {
  if (create) TRY(host::MakeDirs(root_));
  HostOr<Fd> fd = host::OpenAt(AT_FDCWD, root_, O_RDONLY | O_DIRECTORY);
  if (!fd.ok() && fd.error().code == ENOENT) return NoContainer();
  return fd;
}

HostOr<Entry> Store::Create(const std::string& id) {
  TRY(CheckId(id));
  Fd root = TRY(OpenRoot(true));
  if (mkdirat(root.get(), id.c_str(), 0700) < 0) {
    if (errno == EEXIST) return HostError{"container with id exists: " + id, EEXIST};
    return SysError("cannot create the state directory of %s", id.c_str());
  }
  HostOr<Entry> entry = NewEntry(root, id);
  if (!entry.ok()) (void)host::RemoveFlatDir(root.get(), id);
  return entry;
}

HostOr<Entry> Store::NewEntry(const Fd& root, const std::string& id) {
  Entry entry;
  entry.id_ = id;
  entry.dir_ = TRY(host::OpenAt(root.get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  entry.lock_ = TRY(host::OpenAt(entry.dir(), "lock", O_RDWR | O_CREAT, 0600));
  TRY(host::LockExclusive(entry.lock_.get()));
  return entry;
}

HostOr<Entry> Store::Open(const std::string& id, bool lock) {
  TRY(CheckId(id));
  Fd root = TRY(OpenRoot(false));
  Entry entry;
  entry.id_ = id;
  HostOr<Fd> dir = host::OpenAt(root.get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.ok()) {
    int code = dir.error().code;
    return code == ENOENT || code == ENOTDIR || code == ELOOP ? NoContainer() : dir.error();
  }
  entry.dir_ = std::move(*dir);
  if (!TRY(entry.IsContainer())) return NoContainer();
  if (!lock) return entry;
  HostOr<Fd> file = host::OpenAt(entry.dir(), "lock", O_RDWR | O_CREAT, 0600);
  if (!file.ok()) return file.error().code == ENOENT ? NoContainer() : file.error();
  entry.lock_ = std::move(*file);
  TRY(host::LockExclusive(entry.lock_.get()));
  struct stat st{};
  // Somebody may have deleted the container while we waited.
  if (fstat(entry.lock_.get(), &st) == 0 && st.st_nlink == 0) return NoContainer();
  return entry;
}

HostStatus Store::Remove(const std::string& id) {
  Fd root = TRY(OpenRoot(false));
  return host::RemoveFlatDir(root.get(), id);
}

HostOr<std::vector<std::string>> Store::List() {
  HostOr<Fd> root = OpenRoot(false);
  if (!root.ok()) {
    return root.error().code == ENOENT
               ? HostOr<std::vector<std::string>>(std::vector<std::string>())
               : root.error();
  }
  std::vector<std::string> names = TRY(host::ListDir(root->get()));
  std::erase_if(names, [](const std::string& name) { return !CheckId(name).ok(); });
  std::sort(names.begin(), names.end());
  return names;
}

// Any other directory that happens to lie in --root is not ours to list, let alone to delete.
HostOr<bool> Entry::IsContainer() const {
  if (faccessat(dir(), "state.json", F_OK, 0) == 0) return true;
  for (const std::string& name : TRY(host::ListDir(dir()))) {
    bool ours = name == "lock" || name == "control.sock" || name == "exit" ||
                name == "state.json" || name.rfind(".tmp.", 0) == 0;
    if (!ours) return false;
  }
  return true;
}

HostStatus Entry::Save(const State& state) {
  return host::WriteFileAtomic(dir(), "state.json", ToJson(state));
}

HostOr<State> Entry::Load() const {
  HostOr<std::string> text = host::ReadFile(dir(), "state.json", kMaxState);
  if (!text.ok() && text.error().code == ENOENT) {
    // Its creation was cut short before anything was started.
    State state;
    state.id = id_;
    state.oci_version = "1.0.2";
    state.status = Status::kStopped;
    return state;
  }
  if (!text.ok()) return text.error();
  State state = TRY(FromJson(*text));
  uint64_t now = state.sandbox.pid > 0 ? host::StartTime(state.sandbox.pid) : 0;
  if (now == 0 || now != state.sandbox.start_time) state.status = Status::kStopped;
  return state;
}

HostOr<Fd> Entry::OpenExitFile() {
  return host::OpenAt(dir(), "exit", O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

HostOr<int> Entry::ExitStatus() const {
  HostOr<std::string> text = host::ReadFile(dir(), "exit", 64);
  if (!text.ok() && text.error().code != ENOENT) return text.error();
  if (!text.ok() || text->empty()) return TextError("the sandbox ended without an exit status");
  return std::atoi(text->c_str());
}

}  // namespace runsc::container
