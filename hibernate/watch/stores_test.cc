#include "hibernate/watch/stores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>

namespace dormouse::hibernate {
namespace {

using testing::ElementsAre;

TEST(Stores, of_which_others_write_to_are_known_by_their_file_system) {
  EXPECT_FALSE(file_system_kind(EXT4_SUPER_MAGIC).shared);
  EXPECT_FALSE(file_system_kind(TMPFS_MAGIC).shared);
  for (uint64_t magic : {uint64_t(NFS_SUPER_MAGIC), uint64_t(CIFS_SUPER_MAGIC),
                         uint64_t(FUSE_SUPER_MAGIC), uint64_t(V9FS_MAGIC)}) {
    EXPECT_TRUE(file_system_kind(magic).shared) << magic;
  }
  EXPECT_EQ(file_system_kind(0x1234).name, "0x1234");
  EXPECT_FALSE(file_system_kind(0x1234).shared);
  EXPECT_FALSE(file_system_of("/nonexistent/path"));
}

TEST(Stores, below_the_mail_root_are_those_of_the_mount_table_each_once) {
  constexpr std::string_view kTable =
      "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"
      "30 22 8:1 / /srv/mail rw - ext4 /dev/sda1 rw\n"
      "31 30 8:2 / /srv/mail/a rw - xfs /dev/sdb rw\n"
      "32 30 8:3 / /srv/mail/with\\040blank rw - xfs /dev/sdc rw\n"
      "33 30 8:2 /x /srv/mail/again rw - xfs /dev/sdb rw\n"
      "34 22 8:4 / /srv/mailing rw - xfs /dev/sdd rw\n"
      "broken line\n\n";
  EXPECT_THAT(stores_below("/srv/mail", kTable),
              ElementsAre("/srv/mail", "/srv/mail/a", "/srv/mail/with blank"));
  EXPECT_THAT(stores_below("/srv/mail/", kTable), testing::SizeIs(3));
  EXPECT_THAT(stores_below("/home", kTable), ElementsAre("/home"));
}

TEST(Stores, that_others_write_to_are_not_marked) {
  auto marked = mark_stores(testing::TempDir(), SharedStore::kYes);
  if (!marked) GTEST_SKIP() << marked.error().message;
  EXPECT_FALSE(marked->group);
  EXPECT_TRUE(marked->stores.others());
  ASSERT_GE(marked->stores.reasons_size(), 1);
  EXPECT_THAT(marked->stores.reasons(0), testing::HasSubstr("other machines"));
}

}  // namespace
}  // namespace dormouse::hibernate
