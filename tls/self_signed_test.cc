#include "tls/self_signed.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tls/test_support.h"

namespace dormouse::tls {
namespace {

class SelfSigned : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "dormouse_tls_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    chain_ = folder_ + "/cert.pem";
    key_ = folder_ + "/key.pem";
  }
  void TearDown() override {
    ::unlink(chain_.c_str());
    ::unlink(key_.c_str());
    ::rmdir(folder_.c_str());
  }
  std::string folder_;
  std::string chain_;
  std::string key_;
};

TEST_F(SelfSigned, FilesAreForTheirOwnerOnlyAndLoad) {
  ASSERT_TRUE(write_self_signed({}, chain_, key_));
  for (const std::string& path : {chain_, key_}) {
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
  }
  Result<Certificate> loaded = Certificate::load(chain_, key_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ServerSettings settings;
  settings.certificates.push_back(std::move(*loaded));
  EXPECT_TRUE(ServerContext::create(std::move(settings)));
}

TEST_F(SelfSigned, NothingIsOverwritten) {
  ASSERT_TRUE(write_self_signed({}, chain_, key_));
  const Result<Certificate> before = Certificate::load(chain_, key_);
  const Result<> again = write_self_signed({}, chain_, key_);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::kExists);
  // With one of the two there already, the other is not left behind.
  ::unlink(key_.c_str());
  EXPECT_FALSE(write_self_signed({}, chain_, key_));
  EXPECT_NE(::access(key_.c_str(), F_OK), 0);
  EXPECT_EQ(Certificate::load(chain_, chain_)->chain_pem, before->chain_pem);
}

TEST_F(SelfSigned, StrangeNamesAreRefused) {
  for (const std::string name : {"", "a b", "a,IP:1.2.3.4", "x\n"}) {
    SelfSignedSettings settings;
    settings.names = {name};
    EXPECT_FALSE(make_self_signed(settings)) << name;
  }
}

TEST_F(SelfSigned, MissingFileIsNotFound) {
  const Result<Certificate> loaded = Certificate::load(chain_, key_);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace dormouse::tls
