#include <liburing.h>

#include "private_descriptors.h"

// What the layers below open goes by these (linked with --wrap), when this library is what calls them.
extern "C" {

int __real_socket(int domain, int type, int protocol);
int __real_eventfd(unsigned count, int flags);
int __real_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params);

int __wrap_socket(int domain, int type, int protocol) {
  return cenote::intercept::private_descriptors.adopt(__real_socket(domain, type, protocol));
}

int __wrap_eventfd(unsigned count, int flags) {
  return cenote::intercept::private_descriptors.adopt(__real_eventfd(count, flags));
}

int __wrap_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params) {
  const int result = __real_io_uring_queue_init_params(entries, ring, params);
  if (result == 0) {
    ring->ring_fd = cenote::intercept::private_descriptors.adopt(ring->ring_fd);
    ring->enter_ring_fd = ring->ring_fd;
  }
  return result;
}

}  // extern "C"
