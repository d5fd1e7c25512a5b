// Handshake, death detection, and the checks that need the host.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/client/client.h"
#include "platform/base/log.h"
#include "platform/base/strings.h"

namespace runsc::gofer {
namespace {

bool IsSocket(int fd) {
  struct stat st{};
  return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

}  // namespace

bool DonationValid(int fd, const Attr& attr, uint32_t flags) {
  struct stat st{};
  if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return false;
  if (st.st_ino != attr.ino || st.st_dev != attr.dev) return false;
  int have = fcntl(fd, F_GETFL);
  // O_APPEND or O_DIRECT would change what our reads and writes mean.
  if (have < 0 || (have & (O_PATH | O_APPEND | O_DIRECT)) != 0) return false;
  int mode = have & O_ACCMODE;
  bool reads = mode == O_RDONLY || mode == O_RDWR;
  bool writes = mode == O_WRONLY || mode == O_RDWR;
  return reads == ((flags & kOpenRead) != 0) && writes == ((flags & kOpenWrite) != 0);
}

std::unique_ptr<Client> Client::Connect(Fd socket, const ClientOptions& options,
                                        std::string* error) {
  std::unique_ptr<Client> client(new Client(options));
  *error = client->Handshake(std::move(socket));
  if (!error->empty()) return nullptr;
  if (!client->StartWatcher().ok()) {
    *error = "the host refuses a thread or a descriptor";
    return nullptr;
  }
  return client;
}

std::string Client::Handshake(Fd socket) {
  socket_ = std::move(socket);
  Hello hello{kMagic, kVersion};
  if (!SendMessage(socket_.get(), {reinterpret_cast<const char*>(&hello), sizeof(hello)}, nullptr,
                   0)) {
    return "gofer hung up before the handshake";
  }
  HelloReply reply{};
  Received got;
  if (!ReceiveMessage(socket_.get(), &reply, sizeof(reply), &got,
                      static_cast<int>(options_.timeout_ms))) {
    return "gofer did not answer the handshake";
  }
  if (got.size != sizeof(reply) || reply.magic != kMagic || reply.version != kVersion) {
    return StrPrintf("gofer speaks another protocol version (%u, ours is %u)", reply.version,
                     kVersion);
  }
  if (reply.channels == 0 || reply.channels > kMaxChannels ||
      got.fd_count != reply.channels + 1 || reply.attach_points > kMaxAttachPoints ||
      reply.max_nodes < 32) {
    return "gofer sent a malformed handshake";
  }
  memory_ = MapMemory(got.fds[0].get(), reply.channels);
  if (memory_ == nullptr) return "gofer sent unusable shared memory";
  channel_count_ = reply.channels;
  attach_points_ = reply.attach_points;
  max_nodes_ = reply.max_nodes;
  channels_ = std::make_unique<Channel[]>(channel_count_);
  for (uint32_t i = 0; i < channel_count_; ++i) {
    if (!IsSocket(got.fds[i + 1].get())) return "gofer sent a channel that is no socket";
    channels_[i].memory = &memory_[i];
    channels_[i].socket = std::move(got.fds[i + 1]);
    channels_[i].cpu = reply.cpu[i];
    channels_[i].reply = std::make_unique_for_overwrite<char[]>(kMaxReply);
  }
  return "";
}

Status Client::StartWatcher() {
  stop_fd_.Reset(eventfd(0, EFD_CLOEXEC));
  if (!stop_fd_.ok()) return Errno::kMfile;
  return watcher_.Start([this] { Watch(); });
}

void Client::Watch() {
  pollfd polls[2] = {{socket_.get(), POLLIN | POLLRDHUP, 0}, {stop_fd_.get(), POLLIN, 0}};
  while (poll(polls, 2, -1) < 0) {
  }
  // The gofer says nothing on this socket after the handshake: it hung up, or lies.
  if (polls[1].revents == 0) Die("gofer died or hung up");
}

Errno Client::Die(const std::string& reason) {
  dead_ = true;
  for (uint32_t i = 0; i < channel_count_; ++i) WakeSentry(*channels_[i].memory);
  if (!told_.exchange(true)) {
    LOG_WARNING("%s", reason.c_str());
    if (options_.listener != nullptr) options_.listener->OnGoferDeath(reason);
  }
  return Errno::kIo;
}

Client::~Client() {
  if (watcher_.joinable()) {
    uint64_t one = 1;
    ssize_t ignored = write(stop_fd_.get(), &one, sizeof(one));
    (void)ignored;
    watcher_.Join();
  }
  UnmapMemory(memory_, channel_count_);
}

}  // namespace runsc::gofer
