#include "test/fuzz/tree/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <map>
#include <utility>

namespace tree {
namespace {

uint64_t g_state;
std::map<std::pair<uint64_t, uint64_t>, int> g_numbers;

int NumberName(const struct stat& st) {
  std::pair<uint64_t, uint64_t> key(st.st_dev, st.st_ino);
  return g_numbers.emplace(key, static_cast<int>(g_numbers.size())).first->second;
}

std::string Parent(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

bool Differ(timespec a, timespec b) { return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec; }

void SayChange(const struct stat& a, const struct stat& b) {
  if (a.st_ino != b.st_ino) return Say("!ino");
  Say("%s%s", Differ(a.st_mtim, b.st_mtim) ? "m" : "", Differ(a.st_ctim, b.st_ctim) ? "c" : "");
}

}  // namespace

Features g_features;
int g_fd[kSlots] = {-1, -1, -1, -1, -1, -1};

void Seed(uint64_t seed) { g_state = seed * 0x9E3779B97F4A7C15u + 99991; }

unsigned Below(unsigned n) {  // xorshift64*
  g_state ^= g_state << 13;
  g_state ^= g_state >> 7;
  g_state ^= g_state << 17;
  return static_cast<unsigned>((g_state * 0x2545F4914F6CDD1Du >> 16) % n);
}

std::string Name() {
  static const char* const kNames[] = {"a", "b", "c", "d", "e"};
  return kNames[Below(5)];
}

std::string RandomPath() {
  if (Chance(1)) return "";
  if (Chance(1)) return "/";
  std::string path = Chance(15) ? "/" : "";
  unsigned depth = 1 + Below(3);
  for (unsigned i = 0; i < depth; ++i) {
    if (i != 0) path += Chance(3) ? "//" : "/";
    path += Chance(4) ? ".." : Chance(3) ? "." : Name();
  }
  if (Chance(5)) path += "/";
  if (Chance(1)) path += std::string(256, 'x');
  return path;
}

void Say(const char* format, ...) {
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
}

const char* Error(long result) { return result < 0 ? strerrorname_np(errno) : ""; }

std::string StatText(const struct stat& st, bool number) {
  char text[200];
  bool dir = S_ISDIR(st.st_mode);  // of directories, file systems differ in links and size
  snprintf(text, sizeof(text), "%o %u:%u n%lu s%ld r%x", st.st_mode, st.st_uid, st.st_gid,
           dir ? 0 : static_cast<unsigned long>(st.st_nlink), dir ? 0 : st.st_size,
           static_cast<unsigned>(st.st_rdev));
  std::string out = text;
  return number ? out + " i" + std::to_string(NumberName(st)) : out;
}

uint32_t Sum(const char* bytes, size_t size) {
  uint32_t sum = 1;
  for (size_t i = 0; i < size; ++i) sum = sum * 31 + static_cast<unsigned char>(bytes[i]);
  return sum;
}

Watch::Look Watch::LookAt(const std::string& path) {
  Look look;
  look.found = lstat(path.c_str(), &look.st) == 0;
  look.parent_found = lstat(Parent(path).c_str(), &look.parent) == 0;
  return look;
}

Watch::Watch(std::string path) : path_(std::move(path)), on_(Chance(12) && g_features.times) {
  if (!on_) return;
  before_ = LookAt(path_);
  usleep(12000);
}

void Watch::Tell() {
  if (!on_) return;
  Look after = LookAt(path_);
  Say(" [");
  if (before_.found && after.found) SayChange(before_.st, after.st);
  Say("|");
  if (before_.parent_found && after.parent_found) SayChange(before_.parent, after.parent);
  Say("]");
}

}  // namespace tree
