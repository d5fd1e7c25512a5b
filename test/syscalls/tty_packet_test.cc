// Packet mode of a pty's master (TIOCPKT in ioctl_tty(2)): what happens to the other side is told by a byte of its own.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "test/util/test_util.h"

namespace {
using namespace guest;

class TtyPacketTest : public testing::Test {
 protected:
  TtyPacketTest() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    CHECK_OR_DIE(master_.valid() && grantpt(master_.get()) == 0 && unlockpt(master_.get()) == 0);
    slave_ = Fd(open(ptsname(master_.get()), O_RDWR | O_NOCTTY));
    Set(1);
  }
  void Set(int on) { CHECK_OR_DIE(ioctl(master_.get(), TIOCPKT, &on) == 0); }
  // The byte that waits alone; -1: none, -2: something else is read.
  int Status() {
    char buf[64];
    pollfd p = {master_.get(), POLLIN | POLLPRI, 0};
    if (poll(&p, 1, 0) == 0) return -1;
    if ((p.revents & POLLPRI) == 0) return -2;
    ssize_t n = read(master_.get(), buf, sizeof(buf));
    return n == 1 ? static_cast<unsigned char>(buf[0]) : -2;
  }
  void SetFlow(bool on) {
    termios t;
    CHECK_OR_DIE(tcgetattr(slave_.get(), &t) == 0);
    t.c_iflag = on ? t.c_iflag | IXON : t.c_iflag & ~static_cast<tcflag_t>(IXON);
    CHECK_OR_DIE(tcsetattr(slave_.get(), TCSANOW, &t) == 0);
  }
  Fd master_, slave_;
};

TEST_F(TtyPacketTest, Flushes) {
  EXPECT_EQ(Status(), -1);
  tcflush(slave_.get(), TCIFLUSH);
  EXPECT_EQ(Status(), TIOCPKT_FLUSHREAD);
  tcflush(slave_.get(), TCOFLUSH);
  EXPECT_EQ(Status(), TIOCPKT_FLUSHWRITE);
  tcflush(slave_.get(), TCIOFLUSH);
  EXPECT_EQ(Status(), TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
  EXPECT_EQ(Status(), -1);
}

TEST_F(TtyPacketTest, StopAndStart) {
  tcflow(slave_.get(), TCOOFF);
  EXPECT_EQ(Status(), TIOCPKT_STOP);
  tcflow(slave_.get(), TCOON);
  EXPECT_EQ(Status(), TIOCPKT_START);
  tcflow(slave_.get(), TCOOFF);
  tcflow(slave_.get(), TCOON);
  EXPECT_EQ(Status(), TIOCPKT_START);  // the last word
  tcflow(slave_.get(), TCOON);
  EXPECT_EQ(Status(), -1);
}

TEST_F(TtyPacketTest, WhoDoesFlowControl) {
  SetFlow(false);
  EXPECT_EQ(Status(), TIOCPKT_NOSTOP);
  SetFlow(false);
  EXPECT_EQ(Status(), -1);
  SetFlow(true);
  EXPECT_EQ(Status(), TIOCPKT_DOSTOP);
}

TEST_F(TtyPacketTest, StatusComesBeforeDataAndAlone) {
  ASSERT_THAT(write(slave_.get(), "ab", 2), SyscallSucceedsWithValue(2));
  tcflush(slave_.get(), TCIFLUSH);
  EXPECT_EQ(Status(), TIOCPKT_FLUSHREAD);
  char buf[8];
  pollfd p = {master_.get(), POLLIN | POLLPRI, 0};
  ASSERT_EQ(poll(&p, 1, 1000), 1);
  EXPECT_EQ(p.revents, POLLIN);
  ASSERT_THAT(read(master_.get(), buf, sizeof(buf)), SyscallSucceedsWithValue(3));
  EXPECT_EQ(buf[0], TIOCPKT_DATA);
}

TEST_F(TtyPacketTest, NothingIsKeptWhileItIsOff) {
  Set(0);
  tcflush(slave_.get(), TCIOFLUSH);
  Set(1);
  EXPECT_EQ(Status(), -1);
  tcflush(slave_.get(), TCIFLUSH);
  Set(0);
  Set(1);
  EXPECT_EQ(Status(), -1);
}

TEST_F(TtyPacketTest, KeysThatStopAndInterrupt) {
  termios t;
  ASSERT_EQ(tcgetattr(slave_.get(), &t), 0);
  t.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ASSERT_EQ(tcsetattr(slave_.get(), TCSANOW, &t), 0);
  auto typed = [&](char c) {
    CHECK_OR_DIE(write(master_.get(), &c, 1) == 1);
    pollfd p = {master_.get(), POLLIN | POLLPRI, 0};
    poll(&p, 1, 1000);  // what is typed is worked off by another thread
    return Status();
  };
  EXPECT_EQ(typed(023), TIOCPKT_STOP);
  EXPECT_EQ(typed(021), TIOCPKT_START);
  EXPECT_EQ(typed(3), TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
}

}  // namespace
