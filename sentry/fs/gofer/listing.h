#ifndef SENTRY_FS_GOFER_LISTING_H_
#define SENTRY_FS_GOFER_LISTING_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "gofer/client/client.h"

namespace runsc {

// All names of a directory. A name keeps its position for as long as it is there, so positions are
// directory offsets that survive additions and removals. Not thread-safe.
class Listing {
 public:
  struct Item {
    std::string name;  // empty: removed
    uint64_t ino;
    uint8_t type;  // DT_*
  };

  void Append(gofer::Entry entry);  // while filling it
  void Add(std::string_view name, uint64_t ino, uint8_t type);
  void Remove(std::string_view name);
  // Position of `name`, or npos.
  size_t Find(std::string_view name);
  const std::vector<Item>& items() const { return items_; }
  // Attributes that came with the listing, handed out once: later they may be out of date.
  bool TakeAttr(size_t position, gofer::Attr* attr);
  bool has_attrs() const { return !attrs_.empty(); }
  // Keeps the attributes of the entries that are in it.
  void AttachAttrs(const std::vector<gofer::Entry>& entries);
  void DropAttr(std::string_view name);
  // Lookups of names in it that needed the gofer.
  int misses = 0;
  // More holes than names: worth fetching again.
  bool Sparse() const { return removed_ > 1024 && removed_ > items_.size() / 2; }

  static constexpr size_t npos = SIZE_MAX;

 private:
  struct Hash {
    using is_transparent = void;
    const std::vector<Item>* items;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
    size_t operator()(uint32_t i) const { return (*this)((*items)[i].name); }
  };
  struct Equal {
    using is_transparent = void;
    const std::vector<Item>* items;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(std::string_view a, uint32_t b) const { return a == (*items)[b].name; }
    bool operator()(uint32_t a, std::string_view b) const { return (*items)[a].name == b; }
  };
  void BuildIndex();

  std::vector<Item> items_;
  std::vector<gofer::Attr> attrs_;  // parallel to items_ as fetched; mode 0: none
  size_t removed_ = 0;
  bool indexed_ = false;
  std::unordered_set<uint32_t, Hash, Equal> index_{0, Hash{&items_}, Equal{&items_}};
};

}  // namespace runsc

#endif  // SENTRY_FS_GOFER_LISTING_H_
