#include "gofer/protocol/wire.h"

#include <gtest/gtest.h>

#include <string>

#include "gofer/protocol/messages.h"

namespace runsc::gofer {
namespace {

TEST(WireTest, RoundTrip) {
  char buffer[256];
  Writer w(buffer, sizeof(buffer));
  w.Put(OpenRequest{7, kOpenRead, 0});
  w.PutString("name");
  ASSERT_FALSE(w.overflow());
  Reader r(buffer, w.size());
  OpenRequest open{};
  std::string_view name;
  ASSERT_TRUE(r.Get(&open));
  ASSERT_TRUE(r.GetName(&name));
  EXPECT_EQ(open.node, 7u);
  EXPECT_EQ(name, "name");
  EXPECT_TRUE(r.Done());
}

TEST(WireTest, ShortInputFailsForGood) {
  Reader r("abc", 3);
  uint64_t big = 0;
  uint8_t small = 0;
  EXPECT_FALSE(r.Get(&big));
  EXPECT_FALSE(r.Get(&small));
  EXPECT_FALSE(r.Done());
}

TEST(WireTest, LengthBeyondTheEndFails) {
  const char bytes[] = {'\xff', '\x00', 'a'};
  Reader r(bytes, sizeof(bytes));
  std::string_view s;
  EXPECT_FALSE(r.GetString(&s, kMaxName));
}

TEST(WireTest, NamesThatCouldEscapeAreRefused) {
  for (std::string name : {std::string(""), std::string("."), std::string(".."), std::string("a/b"),
                           std::string("/"), std::string("a\0b", 3), std::string(256, 'x')}) {
    EXPECT_FALSE(IsComponent(name)) << name;
  }
  EXPECT_TRUE(IsComponent("..."));
  EXPECT_TRUE(IsComponent(std::string(255, 'x')));
}

TEST(WireTest, OverflowIsNotedAndNothingWritten) {
  char buffer[4];
  Writer w(buffer, sizeof(buffer));
  w.PutBytes("12345");
  EXPECT_TRUE(w.overflow());
  EXPECT_EQ(w.size(), 0u);
}

}  // namespace
}  // namespace runsc::gofer
