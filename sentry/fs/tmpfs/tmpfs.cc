#include "sentry/fs/tmpfs/tmpfs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>

#include "platform/base/strings.h"
#include "sentry/fs/tmpfs/tmpfs_dir.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/filesystem_types.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

namespace runsc {
namespace {

constexpr uint64_t kTmpfsMagic = 0x01021994;

// Set once at boot by RegisterTmpfs.
MemoryFile* g_memory = nullptr;
uint64_t g_total_memory = 0;

ErrnoOr<uint64_t> ParseNumber(std::string_view& text, int base) {
  uint64_t v = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v, base);
  if (ec != std::errc() || end == text.data()) return Errno::kInval;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return v;
}

// "10m", "1g", "50%".
ErrnoOr<uint64_t> ParseSize(std::string_view text, uint64_t total_memory) {
  uint64_t v = TRY(ParseNumber(text, 10));
  if (text == "%") return total_memory / 100 * v;
  int shift = 0;
  if (!text.empty()) {
    switch (text[0] | 0x20) {
      case 'k': shift = 10; break;
      case 'm': shift = 20; break;
      case 'g': shift = 30; break;
      case 't': shift = 40; break;
      default: return Errno::kInval;
    }
    text.remove_prefix(1);
  }
  if (!text.empty() || v > (UINT64_MAX >> shift)) return Errno::kInval;
  return v << shift;
}

Status ParseOption(std::string_view key, std::string_view value, uint64_t total_memory,
                   const Credentials& creds, TmpfsOptions& out) {
  if (key == "size") {
    out.size = PageUp(TRY(ParseSize(value, total_memory)));
  } else if (key == "nr_blocks") {
    out.size = TRY(ParseSize(value, total_memory)) * kPageSize;
  } else if (key == "nr_inodes") {
    out.inodes = TRY(ParseSize(value, total_memory));
  } else if (key == "mode") {
    out.mode = static_cast<uint32_t>(TRY(ParseNumber(value, 8))) & 07777;
    if (!value.empty()) return Errno::kInval;
  } else if (key == "uid" || key == "gid") {
    uint32_t id = static_cast<uint32_t>(TRY(ParseNumber(value, 10)));
    if (!value.empty()) return Errno::kInval;
    id = key == "uid" ? creds.user_ns->UidToKernel(id) : creds.user_ns->GidToKernel(id);
    if (id == kNoId) return Errno::kInval;
    (key == "uid" ? out.uid : out.gid) = id;
  } else if (key != "inode64" && key != "inode32" && key != "huge" && key != "mpol" &&
             key != "noswap") {
    return Errno::kInval;
  }
  return Ok();
}

}  // namespace

ErrnoOr<TmpfsOptions> ParseTmpfsOptions(std::string_view text, uint64_t total_memory,
                                        const Credentials& creds, TmpfsOptions out) {
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (one.empty()) continue;
    size_t eq = one.find('=');
    std::string_view value =
        eq == std::string_view::npos ? std::string_view() : one.substr(eq + 1);
    TRY(ParseOption(one.substr(0, eq), value, total_memory, creds, out));
  }
  return out;
}

Tmpfs::Tmpfs(MemoryFile& memory, const TmpfsOptions& options, const char* type)
    : Filesystem(type),
      memory_(memory),
      options_(options),
      space_(MakeRef<TmpfsSpace>(options.size / kPageSize, options.inodes)) {}

Tmpfs::~Tmpfs() = default;

Ref<Tmpfs> Tmpfs::New(MemoryFile& memory, const TmpfsOptions& options, const char* type) {
  Ref<Tmpfs> fs = Ref<Tmpfs>::Adopt(new Tmpfs(memory, options, type));
  fs->space_->TakeInode();
  InitialOwnership who{S_IFDIR | (options.mode & 07777), options.uid, options.gid};
  Ref<Inode> root = MakeRef<TmpfsDir>(*fs, who);
  MutexLock l(fs->mu_);
  fs->root_ = std::move(root);
  return fs;
}

Ref<Inode> Tmpfs::root() {
  MutexLock l(mu_);
  return root_;
}

void Tmpfs::OnLastUnmount() {
  Ref<Inode> root;
  {
    MutexLock l(mu_);
    root = std::move(root_);
  }
  if (!root) return;
  // Iteratively: a guest can make the tree as deep as it likes.
  std::vector<Ref<TmpfsInode>> doomed;
  doomed.push_back(Ref<TmpfsInode>(static_cast<TmpfsInode*>(root.get())));
  while (!doomed.empty()) {
    Ref<TmpfsInode> inode = std::move(doomed.back());
    doomed.pop_back();
    if (!inode->IsDir()) continue;
    TmpfsDir& dir = static_cast<TmpfsDir&>(*inode);
    WriterLock l(dir.dir_mutex);
    dir.TakeChildren(doomed);
  }
}

ErrnoOr<FsStat> Tmpfs::StatFs() {
  FsStat s;
  s.type = kTmpfsMagic;
  uint64_t max = space_->max_pages(), used = space_->pages();
  // Without a limit of its own (the overlay's upper layer) memory is the limit; programs that look
  // for room first must find some.
  if (max == 0) max = g_total_memory / kPageSize;
  if (max != 0) {
    s.blocks = max;
    s.blocks_free = s.blocks_available = max > used ? max - used : 0;
  }
  uint64_t max_inodes = space_->max_inodes(), inodes = space_->inodes();
  if (max_inodes != 0) {
    s.files = max_inodes;
    s.files_free = max_inodes > inodes ? max_inodes - inodes : 0;
  }
  return s;
}

std::string Tmpfs::ShowOptions() {
  std::string out;
  if (space_->max_pages() != 0) {
    out += StrPrintf(",size=%luk", static_cast<unsigned long>(space_->max_pages() * 4));
  }
  if (space_->max_inodes() != 0) {
    out += StrPrintf(",nr_inodes=%lu", static_cast<unsigned long>(space_->max_inodes()));
  }
  if (options_.mode != 01777) out += StrPrintf(",mode=%o", options_.mode);
  if (options_.uid != 0) out += StrPrintf(",uid=%u", options_.uid);
  if (options_.gid != 0) out += StrPrintf(",gid=%u", options_.gid);
  return out;
}

Status Tmpfs::Remount(const OpContext& ctx, std::string_view options) {
  TmpfsOptions now = options_;
  now.size = space_->max_pages() * kPageSize;
  now.inodes = space_->max_inodes();
  now = TRY(ParseTmpfsOptions(options, g_total_memory, ctx.creds, now));
  return space_->SetLimits(now.size / kPageSize, now.inodes);
}

void RegisterTmpfs(MemoryFile& memory, uint64_t total_memory) {
  g_memory = &memory;
  g_total_memory = total_memory;
  RegisterFilesystemType(
      "tmpfs",
      [](const OpContext& op, std::string_view, std::string_view text) -> ErrnoOr<Ref<Filesystem>> {
        TmpfsOptions base;
        base.size = PageDown(g_total_memory / 2);
        base.inodes = g_total_memory / 2 / kPageSize;
        base = TRY(ParseTmpfsOptions(text, g_total_memory, op.creds, base));
        return Ref<Filesystem>(Tmpfs::New(*g_memory, base));
      });
  RegisterFilesystemType(
      "ramfs", [](const OpContext& op, std::string_view, std::string_view) {
        return ErrnoOr<Ref<Filesystem>>(Tmpfs::New(*g_memory, {.mode = 0755}, "ramfs"));
      });
}

ErrnoOr<Ref<File>> NewMemfd(MemoryFile& memory, std::string_view name, bool sealable,
                            bool executable, Ref<const Credentials> creds) {
  // One instance without limits for all memfds; it is never unmounted.
  static Ref<Tmpfs>* fs = new Ref<Tmpfs>(Tmpfs::New(memory, TmpfsOptions{}));
  static Ref<Mount>* mount = new Ref<Mount>(Mount::New(*fs, 0, "tmpfs"));
  (*fs)->space().TakeInode();
  uint32_t mode = S_IFREG | (executable ? 0777u : 0666u);
  Ref<TmpfsRegular> inode =
      MakeRef<TmpfsRegular>(**fs, InitialOwnership{mode, creds->fsuid, creds->fsgid});
  inode->AddLinks(-1);
  uint32_t seals = sealable ? 0 : F_SEAL_SEAL;
  if (!executable) seals = 0x20;  // F_SEAL_EXEC; implies sealing allowed
  inode->pages().InitSeals(seals);
  Path path(*mount, Dentry::NewDisconnected(inode, "/memfd:" + std::string(name) + " (deleted)"));
  return MakeRef<TmpfsFile>(path, O_RDWR | O_LARGEFILE, std::move(creds));
}

ErrnoOr<Ref<Inode>> TmpfsAddDevice(Inode& dir, std::string_view name, uint32_t mode,
                                   DeviceId dev) {
  TmpfsDir& parent = static_cast<TmpfsDir&>(dir);
  if (!parent.tmpfs().space().TakeInode()) return Errno::kNospc;
  Ref<TmpfsNode> node = MakeRef<TmpfsNode>(parent.tmpfs(), InitialOwnership{mode, 0, 0});
  node->SetRdev(dev);
  WriterLock l(parent.dir_mutex);
  parent.Insert(name, node);
  return Ref<Inode>(node);
}

}  // namespace runsc
