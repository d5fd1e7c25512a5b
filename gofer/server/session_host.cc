#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "gofer/server/session.h"
#include "platform/base/log.h"

namespace runsc::gofer {
namespace {

constexpr size_t kStack = 128 << 10;

std::vector<uint32_t> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<uint32_t> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (uint32_t c = 0; c < CPU_SETSIZE; ++c) {
      if (CPU_ISSET(c, &set)) cpus.push_back(c);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

// Starts a thread that runs on `cpu` only: it is woken where the client runs, never elsewhere.
bool StartThread(void* (*main)(void*), void* arg, uint32_t cpu, pthread_t* thread) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, kStack);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
  int error = pthread_create(thread, &attr, main, arg);
  pthread_attr_destroy(&attr);
  return error == 0;
}

}  // namespace

std::unique_ptr<Session> Session::Create(Fd socket, const Served& served, uint32_t max_nodes,
                                         int channels_per_cpu) {
  std::unique_ptr<Session> s(new Session(std::move(socket), served, max_nodes));
  if (!s->SetUp(channels_per_cpu)) return nullptr;
  return s;
}

bool Session::SetUp(int channels_per_cpu) {
  std::vector<uint32_t> cpus = AllowedCpus();
  if (channels_per_cpu <= 0) channels_per_cpu = cpus.size() <= 8 ? 2 : 1;
  channel_count_ = static_cast<uint32_t>(
      std::min<size_t>(cpus.size() * static_cast<size_t>(channels_per_cpu), kMaxChannels));
  memory_fd_ = CreateMemory(channel_count_);
  if (!memory_fd_.ok()) return false;
  memory_ = MapMemory(memory_fd_.get(), channel_count_);
  if (memory_ == nullptr) return false;
  channels_ = std::make_unique<Channel[]>(channel_count_);
  for (uint32_t i = 0; i < channel_count_; ++i) {
    Channel& c = channels_[i];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
    c.socket.Reset(pair[0]);
    c.peer.Reset(pair[1]);
    c.session = this;
    c.memory = &memory_[i];
    c.cpu = cpus[i % cpus.size()];
    if (!StartThread(&ThreadMain, &c, c.cpu, &c.thread)) return false;
    c.running = true;
  }
  return true;
}

Session::~Session() {
  stop_ = true;
  for (uint32_t i = 0; channels_ != nullptr && i < channel_count_; ++i) {
    // A client that stopped reading its donations must not hold the thread.
    shutdown(channels_[i].socket.get(), SHUT_RDWR);
    WakeGofer(*channels_[i].memory);
    if (channels_[i].running) pthread_join(channels_[i].thread, nullptr);
  }
  UnmapMemory(memory_, channel_count_);
}

bool Session::OnReadable() {
  Hello hello{};
  Received got;
  if (!ReceiveMessage(socket_.get(), &hello, sizeof(hello), &got, 0)) return false;
  if (greeted_ || got.size != sizeof(hello) || hello.magic != kMagic) {
    LOG_WARNING("gofer: client sent something that is no handshake; hanging up");
    return false;
  }
  greeted_ = true;
  return SayHello();
}

bool Session::SayHello() {
  HelloReply reply{};
  reply.magic = kMagic;
  reply.version = kVersion;
  reply.channels = channel_count_;
  reply.attach_points = static_cast<uint32_t>(served_.trees.size());
  reply.max_nodes = nodes_.max_nodes();
  int fds[kMaxChannels + 1];
  fds[0] = memory_fd_.get();
  for (uint32_t i = 0; i < channel_count_; ++i) {
    reply.cpu[i] = channels_[i].cpu;
    fds[i + 1] = channels_[i].peer.get();
  }
  bool sent = SendMessage(socket_.get(), {reinterpret_cast<const char*>(&reply), sizeof(reply)},
                          fds, channel_count_ + 1);
  if (!sent) LOG_WARNING("gofer: cannot hand its descriptors over: %s", strerror(errno));
  for (uint32_t i = 0; i < channel_count_; ++i) channels_[i].peer.Reset();
  memory_fd_.Reset();
  return sent;
}

void* Session::ThreadMain(void* channel) {
  Channel& c = *static_cast<Channel*>(channel);
  c.session->Serve(c);
  return nullptr;
}

void Session::Serve(Channel& c) {
  auto request = std::make_unique_for_overwrite<char[]>(kMaxRequest);
  uint32_t seen = 0;
  while (auto sequence = AwaitRequest(*c.memory, seen, stop_)) {
    seen = *sequence;
    // The client may write on: from here on only the copy counts.
    size_t size =
        std::min<size_t>(c.memory->request.size.load(std::memory_order_relaxed), kMaxRequest);
    std::memcpy(request.get(), c.memory->request_bytes, size);
    PostReply(*c.memory, seen, ServeOne(c, request.get(), size, seen));
  }
}

uint32_t Session::ServeOne(Channel& c, const char* request, size_t size, uint32_t sequence) {
  Call call{nodes_, served_, Reader(request, size), Writer(c.memory->reply_bytes, kMaxReply), Fd()};
  call.out.Put(ReplyHeader{});
  Status done = Dispatch(call);
  if (done.ok() && call.out.overflow()) done = Errno::kOverflow;
  ReplyHeader header{};
  if (!done.ok()) {
    header.error = static_cast<uint32_t>(done.error());
    call.out.Truncate(sizeof(header));
  } else if (call.donated.ok()) {
    Donation donation{kMagic, sequence};
    int fd = call.donated.get();
    header.fds = 1;
    if (!SendMessage(c.socket.get(), {reinterpret_cast<const char*>(&donation), sizeof(donation)},
                     &fd, 1)) {
      // The client is gone, which the main thread notices by itself; or the host has more
      // descriptors in flight than it lets this user have (ETOOMANYREFS), whoever sent them.
      header = ReplyHeader{.error = static_cast<uint32_t>(Errno::kNfile)};
      call.out.Truncate(sizeof(header));
    }
  }
  call.out.PutAt(0, header);
  return static_cast<uint32_t>(call.out.size());
}

}  // namespace runsc::gofer
