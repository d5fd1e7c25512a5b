#include "sentry/vfs/filesystem_types.h"

namespace runsc {
namespace {

struct Type {
  const char* name;
  FilesystemMaker maker;
};

std::vector<Type>& Types() {
  static auto* types = new std::vector<Type>;
  return *types;
}

}  // namespace

void RegisterFilesystemType(const char* name, FilesystemMaker maker) {
  Types().push_back({name, maker});
}

FilesystemMaker FindFilesystemType(std::string_view name) {
  for (const Type& t : Types()) {
    if (name == t.name) return t.maker;
  }
  return nullptr;
}

std::vector<const char*> FilesystemTypes() {
  std::vector<const char*> out;
  for (const Type& t : Types()) out.push_back(t.name);
  return out;
}

}  // namespace runsc
