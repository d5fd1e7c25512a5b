#include "gofer/protocol/wire.h"

#include "gofer/protocol/messages.h"

namespace runsc::gofer {

bool IsComponent(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || name == "." || name == "..") return false;
  return name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool Reader::GetBytes(size_t size, std::string_view* out) {
  if (!Need(size)) return false;
  *out = {at_, size};
  Skip(size);
  return true;
}

bool Reader::GetString(std::string_view* out, size_t max) {
  uint16_t size = 0;
  if (!Get(&size)) return false;
  if (size > max) return ok_ = false;
  return GetBytes(size, out);
}

bool Reader::GetName(std::string_view* out) {
  return GetString(out, kMaxName) && (ok_ = IsComponent(*out));
}

std::string_view Reader::Rest() {
  std::string_view rest(at_, ok_ ? left_ : 0);
  Skip(rest.size());
  return rest;
}

void Writer::PutBytes(std::string_view bytes) {
  if (overflow_ || bytes.size() > left()) {
    overflow_ = true;
    return;
  }
  if (!bytes.empty()) std::memcpy(data_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void Writer::PutString(std::string_view s) {
  if (s.size() > UINT16_MAX) {
    overflow_ = true;
    return;
  }
  Put(static_cast<uint16_t>(s.size()));
  PutBytes(s);
}

}  // namespace runsc::gofer
