#ifndef RUNSC_SPEC_JSON_READER_H_
#define RUNSC_SPEC_JSON_READER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "platform/base/strings.h"

namespace runsc::spec {

// Reads typed fields out of JSON and keeps the first mistake with the path where it is. A missing
// field (or null) leaves the target alone.
class JsonReader {
 public:
  using Json = nlohmann::json;
  JsonReader(const Json* node, std::string path, std::string* error)
      : node_(node), path_(std::move(path)), error_(error) {}

  bool Has(const char* name) const { return Find(name) != nullptr; }
  JsonReader Object(const char* name) const {
    const Json* child = Find(name);
    if (child != nullptr && !child->is_object()) {
      Fail(name, "must be an object");
      child = nullptr;
    }
    return {child, Sub(name), error_};
  }
  void Get(const char* name, std::string* out) const {
    const Json* child = Find(name);
    if (child == nullptr) return;
    if (!child->is_string()) return Fail(name, "must be a string");
    *out = child->get_ref<const std::string&>();
    if (out->find('\0') != std::string::npos) Fail(name, "must not hold a NUL byte");
  }
  void Get(const char* name, bool* out) const {
    const Json* child = Find(name);
    if (child == nullptr) return;
    if (!child->is_boolean()) return Fail(name, "must be true or false");
    *out = child->get<bool>();
  }
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  void Get(const char* name, T* out) const {
    const Json* child = Find(name);
    if (child != nullptr) GetNumber(*child, name, out);
  }
  void Get(const char* name, std::vector<std::string>* out) const {
    Each(name, [&](const JsonReader& item) {
      if (!item.node_->is_string()) return item.Fail("", "must be a string");
      out->push_back(item.node_->get<std::string>());
      if (out->back().find('\0') != std::string::npos) item.Fail("", "must not hold a NUL byte");
    });
  }
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  void Get(const char* name, std::vector<T>* out) const {
    Each(name, [&](const JsonReader& item) {
      T value{};
      item.GetNumber(*item.node_, "", &value);
      out->push_back(value);
    });
  }
  // Calls `visit` for each element of an array.
  void Each(const char* name, const std::function<void(const JsonReader&)>& visit) const {
    const Json* child = Find(name);
    if (child == nullptr) return;
    if (!child->is_array()) return Fail(name, "must be an array");
    for (size_t i = 0; i < child->size() && error_->empty(); ++i) {
      visit(JsonReader(&(*child)[i], Sub(name) + "[" + std::to_string(i) + "]", error_));
    }
  }
  // Calls `visit` for each key of an object with string values.
  void EachString(const char* name,
                  const std::function<void(const std::string&, const std::string&)>& visit) const {
    JsonReader object = Object(name);
    if (object.node_ == nullptr) return;
    for (auto it = object.node_->begin(); it != object.node_->end(); ++it) {
      if (!it->is_string()) return object.Fail(it.key().c_str(), "must be a string");
      visit(it.key(), it->get_ref<const std::string&>());
    }
  }
  void Fail(const char* name, const char* what) const {
    if (error_->empty()) *error_ = (*name == '\0' ? path_ : Sub(name)) + ": " + what;
  }
  void Fail(const char* name, const std::string& what) const { Fail(name, what.c_str()); }

 private:
  std::string Sub(const char* name) const {
    return path_.empty() ? std::string(name) : path_ + "." + name;
  }
  const Json* Find(const char* name) const {
    if (node_ == nullptr) return nullptr;
    if (!node_->is_object()) {
      Fail("", "must be an object");
      return nullptr;
    }
    auto it = node_->find(name);
    return it == node_->end() || it->is_null() ? nullptr : &*it;
  }
  template <typename T>
  void GetNumber(const Json& child, const char* name, T* out) const {
    if (child.is_number_unsigned()) {
      uint64_t value = child.get<uint64_t>();
      *out = static_cast<T>(value);
      if (std::in_range<T>(value)) return;
    } else if (child.is_number_integer()) {
      int64_t value = child.get<int64_t>();
      *out = static_cast<T>(value);
      if (std::in_range<T>(value)) return;
    }
    Fail(name, "must be a whole number in range");
  }

  const Json* node_;
  std::string path_;
  std::string* error_;
};

}  // namespace runsc::spec

#endif  // RUNSC_SPEC_JSON_READER_H_
