#ifndef GOFER_CLIENT_EXCHANGE_H_
#define GOFER_CLIENT_EXCHANGE_H_

#include "gofer/client/client.h"

namespace runsc::gofer {

// One request and its answer on a channel, which it holds until it goes.
class Client::Exchange {
 public:
  Exchange(Client& client, Op op);
  ~Exchange() { client_.Release(channel_); }
  Exchange(const Exchange&) = delete;

  // The request, written in place.
  Writer& out() { return out_; }
  // Sends and waits. The gofer's error, or EIO when it is dead.
  Status Run();
  // The answer after a successful Run, a private copy.
  Reader& in() { return in_; }
  // The descriptor that came with the answer.
  Fd TakeFd() { return std::move(fd_); }
  // The answer made no sense: the gofer is done with.
  Errno Nonsense();

 private:
  Status TakeDonation();

  Client& client_;
  const Op op_;
  Channel& channel_;
  Writer out_;
  Reader in_{nullptr, 0};
  Fd fd_;
};

}  // namespace runsc::gofer

#endif  // GOFER_CLIENT_EXCHANGE_H_
