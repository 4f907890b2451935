#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "cenote/base/assert.h"

namespace cenote {

/// A vector whose first `Inline` elements need no allocation: a request for one key and one range, the common case of
/// the hot path, is decoded, moved and destroyed without calling malloc. Elements move when the vector moves or grows,
/// so pointers into it are stale after either.
template <typename T, std::uint32_t Inline>
class SmallVector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() = default;
  SmallVector(std::initializer_list<T> values) { append(std::span<const T>(values.begin(), values.size())); }
  SmallVector(std::span<const T> values) { append(values); }     // NOLINT: reads like the view it copies
  SmallVector(const std::vector<T>& values) { append(values); }  // NOLINT
  SmallVector(const SmallVector& other) { append(other.view()); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign(other.view());
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~SmallVector() { release(); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](std::size_t index) { return data_[index]; }
  const T& operator[](std::size_t index) const { return data_[index]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }
  std::span<const T> view() const { return {data_, size_}; }

  void clear() {
    std::destroy_n(data_, size_);
    size_ = 0;
  }
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }
  void push_back(T value) { emplace_back(std::move(value)); }
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) {
      // The arguments may refer to an element, which growing moves.
      T value(std::forward<Args>(args)...);
      grow(std::size_t{capacity_} * 2);
      return *std::construct_at(data_ + size_++, std::move(value));
    }
    return *std::construct_at(data_ + size_++, std::forward<Args>(args)...);
  }
  void pop_back() { std::destroy_at(data_ + --size_); }
  void append(std::span<const T> values) {
    reserve(size_ + values.size());
    std::uninitialized_copy(values.begin(), values.end(), data_ + size_);
    size_ += static_cast<std::uint32_t>(values.size());
  }
  void assign(std::span<const T> values) {
    clear();
    append(values);
  }
  void resize(std::size_t size) {
    reserve(size);
    while (size_ > size) pop_back();
    std::uninitialized_value_construct(data_ + size_, data_ + size);
    size_ = static_cast<std::uint32_t>(size);
  }
  void erase(std::size_t index) {
    std::move(data_ + index + 1, end(), data_ + index);
    pop_back();
  }
  void insert(std::size_t index, T value) {
    push_back(std::move(value));
    std::rotate(data_ + index, end() - 1, end());
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  T* inline_data() { return reinterpret_cast<T*>(inline_); }
  bool is_inline() const { return data_ == reinterpret_cast<const T*>(inline_); }

  void grow(std::size_t capacity) {
    ASSERT(capacity <= UINT32_MAX);
    capacity = std::max<std::size_t>(capacity, std::min<std::size_t>(std::size_t{capacity_} * 2, UINT32_MAX));
    T* moved = std::allocator<T>().allocate(capacity);
    std::uninitialized_move_n(data_, size_, moved);
    std::destroy_n(data_, size_);
    free_heap();
    data_ = moved;
    capacity_ = static_cast<std::uint32_t>(capacity);
  }
  void free_heap() {
    if (!is_inline()) std::allocator<T>().deallocate(data_, capacity_);
  }
  void release() {
    clear();
    free_heap();
    data_ = inline_data();
    capacity_ = Inline;
  }
  // Precondition: empty and inline.
  void take(SmallVector& other) {
    if (!other.is_inline()) {
      data_ = std::exchange(other.data_, other.inline_data());
      capacity_ = std::exchange(other.capacity_, Inline);
      size_ = std::exchange(other.size_, 0);
      return;
    }
    std::uninitialized_move_n(other.data_, other.size_, data_);
    size_ = other.size_;
    other.clear();
  }

  T* data_ = inline_data();
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = Inline;
  alignas(T) std::byte inline_[sizeof(T) * Inline];
};

}  // namespace cenote
