#include "sentry/fs/gofer/listing.h"

#include <utility>

namespace runsc {

void Listing::Append(gofer::Entry entry) {
  items_.push_back({std::move(entry.name), entry.ino, entry.type});
}

void Listing::BuildIndex() {
  if (indexed_) return;
  index_.reserve(items_.size());
  for (uint32_t i = 0; i < items_.size(); ++i) {
    if (!items_[i].name.empty()) index_.insert(i);
  }
  indexed_ = true;
}

size_t Listing::Find(std::string_view name) {
  BuildIndex();
  auto it = index_.find(name);
  return it == index_.end() ? npos : *it;
}

void Listing::Add(std::string_view name, uint64_t ino, uint8_t type) {
  BuildIndex();
  items_.push_back({std::string(name), ino, type});
  index_.insert(static_cast<uint32_t>(items_.size() - 1));
}

void Listing::Remove(std::string_view name) {
  BuildIndex();
  auto it = index_.find(name);
  if (it == index_.end()) return;
  Item& item = items_[*it];
  index_.erase(it);
  item.name.clear();
  ++removed_;
}

void Listing::AttachAttrs(const std::vector<gofer::Entry>& entries) {
  attrs_.assign(items_.size(), gofer::Attr{});
  for (const gofer::Entry& e : entries) {
    size_t at = Find(e.name);
    if (e.has_attr && at != npos && items_[at].ino == e.ino) attrs_[at] = e.attr;
  }
}

bool Listing::TakeAttr(size_t position, gofer::Attr* attr) {
  if (position >= attrs_.size() || attrs_[position].mode == 0) return false;
  *attr = attrs_[position];
  attrs_[position].mode = 0;
  return true;
}

void Listing::DropAttr(std::string_view name) {
  gofer::Attr ignored;
  if (has_attrs()) TakeAttr(Find(name), &ignored);
}

}  // namespace runsc
