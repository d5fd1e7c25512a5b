#include <gtest/gtest.h>

#include "sentry/auth/credentials.h"

namespace runsc {
namespace {

TEST(CredentialsTest, OwnerOfChildNamespaceHasItsCapabilities) {
  Ref<UserNamespace> root = UserNamespace::NewRoot();
  Ref<UserNamespace> child = UserNamespace::NewChild(root, 1000, 1000).value();
  Ref<Credentials> user = Credentials::NewRoot(root);
  user->euid = 1000;
  user->effective = {};
  EXPECT_FALSE(user->HasCap(0));
  EXPECT_TRUE(user->HasCapIn(0, child.get()));
  user->euid = 1001;
  EXPECT_FALSE(user->HasCapIn(0, child.get()));
}

TEST(UserNamespaceTest, MapsOnceAndBothWays) {
  Ref<UserNamespace> root = UserNamespace::NewRoot();
  Ref<UserNamespace> child = UserNamespace::NewChild(root, 0, 0).value();
  EXPECT_EQ(child->UidToKernel(0), kNoId);
  EXPECT_EQ(child->MungedUid(5), kOverflowId);
  ASSERT_TRUE(child->SetUidMap({{0, 1000, 10}}).ok());
  EXPECT_EQ(child->UidToKernel(3), 1003u);
  EXPECT_EQ(child->UidFromKernel(1009), 9u);
  EXPECT_EQ(child->UidFromKernel(1010), kNoId);
  EXPECT_EQ(child->SetUidMap({{0, 1000, 10}}).error(), Errno::kPerm);
}

TEST(UserNamespaceTest, RefusesBadExtents) {
  Ref<UserNamespace> root = UserNamespace::NewRoot();
  Ref<UserNamespace> child = UserNamespace::NewChild(root, 0, 0).value();
  EXPECT_EQ(child->SetUidMap({}).error(), Errno::kInval);
  EXPECT_EQ(child->SetUidMap({{0, 0, 0}}).error(), Errno::kInval);
  EXPECT_EQ(child->SetUidMap({{0, 0, 10}, {5, 100, 10}}).error(), Errno::kInval);
  EXPECT_EQ(child->SetUidMap({{UINT32_MAX, 0, 10}}).error(), Errno::kInval);
}

TEST(UserNamespaceTest, DepthIsLimited) {
  Ref<UserNamespace> ns = UserNamespace::NewRoot();
  for (int i = 0; i < 32; ++i) ns = UserNamespace::NewChild(ns, 0, 0).value();
  EXPECT_EQ(UserNamespace::NewChild(ns, 0, 0).error(), Errno::kUsers);
}

}  // namespace
}  // namespace runsc
