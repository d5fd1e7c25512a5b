#ifndef RUNSC_CONTAINER_STORE_H_
#define RUNSC_CONTAINER_STORE_H_

#include <string>
#include <vector>

#include "platform/base/fd.h"
#include "platform/host/error.h"
#include "runsc/container/state.h"

namespace runsc::container {

// A container's directory under --root:
//   state.json    what State holds; replaced in one step
//   lock          flock(2)ed by every command that changes the container
//   control.sock  where the sandbox listens, mode 0600
//   exit          the init's exit status, written by the sandbox
class Entry {
 public:
  // The directory's descriptor, for control.sock.
  int dir() const { return dir_.get(); }
  // Replaces state.json.
  HostStatus Save(const State& state);
  // What state.json says, with the status kStopped if the sandbox is gone.
  HostOr<State> Load() const;
  HostOr<Fd> OpenExitFile();
  // The status the sandbox wrote; an error if it has not.
  HostOr<int> ExitStatus() const;

 private:
  friend class Store;
  HostOr<bool> IsContainer() const;
  std::string id_;
  Fd dir_;
  Fd lock_;
};

// All containers under one --root.
class Store {
 public:
  explicit Store(std::string root) : root_(std::move(root)) {}

  // A new container's entry, locked. Error if the id is taken or not allowed.
  HostOr<Entry> Create(const std::string& id);
  // An existing one; `lock`: waits for other commands on it. code ENOENT: "container does not
  // exist".
  HostOr<Entry> Open(const std::string& id, bool lock);
  // Removes the entry and its lock.
  HostStatus Remove(const std::string& id);
  // Ids, sorted.
  HostOr<std::vector<std::string>> List();

 private:
  HostOr<Fd> OpenRoot(bool create);
  static HostOr<Entry> NewEntry(const Fd& root, const std::string& id);
  const std::string root_;
};

// At most 255 of letters, digits, and "_+-."; not "." or "..".
HostStatus CheckId(const std::string& id);

}  // namespace runsc::container

#endif  // RUNSC_CONTAINER_STORE_H_
