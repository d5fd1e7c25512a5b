#include <fcntl.h>
#include <sys/stat.h>

#include <unordered_set>
#include <utility>

#include "sentry/fs/overlay/overlay_file.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/mount.h"

namespace runsc {
namespace {

bool IsDots(std::string_view name) { return name == "." || name == ".."; }

// Passes one layer's listing on with the numbers that the overlay shows, leaving out whiteouts.
// The layer's directory is locked meanwhile, so nothing here may take the overlay inode's own
// locks, which come before it: rmdir(2) takes both.
class LayerSink : public DirSink {
 public:
  LayerSink(OverlayInode& dir, bool lower, DirSink& sink)
      : dir_(dir), lower_(lower), parent_ino_(dir.ParentIno()), sink_(sink) {}

  bool Add(std::string_view name, uint64_t ino, uint32_t type, int64_t next) override {
    if (name == "..") return sink_.Add(name, parent_ino_, type, next);
    if (name == ".") return sink_.Add(name, dir_.shown_ino(), type, next);
    // A lower directory that was copied up while it was being listed may hide entries by now.
    if (lower_ && dir_.Hides(name)) return true;
    return sink_.Add(name, lower_ ? ino : dir_.overlay().ShownIno(ino), type, next);
  }

 private:
  OverlayInode& dir_;
  const bool lower_;
  const uint64_t parent_ino_;
  DirSink& sink_;
};

class Collector : public DirSink {
 public:
  explicit Collector(std::vector<OverlayDirFile::Item>* out) : out_(out) {}
  bool Add(std::string_view name, uint64_t ino, uint32_t type, int64_t next) override {
    if (!IsDots(name)) out_->push_back({std::string(name), ino, type});
    return true;
  }

 private:
  std::vector<OverlayDirFile::Item>* const out_;
};

Status Collect(const OpContext& ctx, OverlayFs& fs, Inode& dir,
               std::vector<OverlayDirFile::Item>* out) {
  Collector sink(out);
  Ref<File> file = TRY(dir.Open(ctx, fs.LayerPath(dir), {O_RDONLY | O_DIRECTORY}));
  return file->ReadDir(ctx, sink);
}

}  // namespace

OverlayDirFile::OverlayDirFile(const Path& path, uint32_t flags, Ref<const Credentials> creds)
    : File(path, flags, std::move(creds)) {}

Status OverlayDirFile::ReadDir(const OpContext& ctx, DirSink& sink) {
  MutexLock l(listing_mu_);
  if (offset() < 0) return Errno::kInval;
  if (offset() == 0) begun_ = false;
  if (!begun_) TRY(Begin(ctx));
  begun_ = true;
  return one_ ? PassThrough(ctx, sink) : ListMerged(sink);
}

Status OverlayDirFile::Begin(const OpContext& ctx) {
  one_.reset();
  merged_.clear();
  if (node().merged()) return Merge(ctx);
  one_is_lower_ = node().upper() == nullptr;
  Inode& layer = node().real();
  one_ = TRY(layer.Open(ctx, node().overlay().LayerPath(layer), {O_RDONLY | O_DIRECTORY}));
  return Ok();
}

Status OverlayDirFile::Merge(const OpContext& ctx) {
  OverlayFs& fs = node().overlay();
  // A rename between the two readings could hide a name that was there all along.
  for (int attempt = 0; attempt < 3; ++attempt) {
    uint64_t before = node().changes();
    merged_.clear();
    TRY(Collect(ctx, fs, *node().upper(), &merged_));
    std::unordered_set<std::string> hidden = fs.Whiteouts(node().upper_ino());
    for (Item& item : merged_) {
      item.ino = fs.ShownIno(item.ino);
      hidden.insert(item.name);
    }
    std::vector<Item> below;
    TRY(Collect(ctx, fs, *node().lower(), &below));
    for (Item& item : below) {
      if (!hidden.contains(item.name)) merged_.push_back(std::move(item));
    }
    if (node().changes() == before) break;
  }
  return Ok();
}

Status OverlayDirFile::PassThrough(const OpContext& ctx, DirSink& sink) {
  LayerSink layer(node(), one_is_lower_, sink);
  one_->SetOffset(offset());
  Status done = one_->ReadDir(ctx, layer);
  SetOffset(one_->offset());
  return done;
}

Status OverlayDirFile::ListMerged(DirSink& sink) {
  uint64_t at = static_cast<uint64_t>(offset());
  for (; at < merged_.size() + 2; ++at) {
    int64_t next = static_cast<int64_t>(at) + 1;
    bool fits = false;
    if (at == 0) {
      fits = sink.Add(".", TRY(node().GetAttr()).ino, S_IFDIR, next);
    } else if (at == 1) {
      fits = sink.Add("..", node().ParentIno(), S_IFDIR, next);
    } else {
      const Item& item = merged_[at - 2];
      fits = sink.Add(item.name, item.ino, item.type, next);
    }
    if (!fits) break;
  }
  SetOffset(static_cast<int64_t>(at));
  return Ok();
}

}  // namespace runsc
