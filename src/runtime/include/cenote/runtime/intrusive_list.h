#pragma once

#include "cenote/base/assert.h"

namespace cenote {

/// Base of what can stand in one IntrusiveList at a time; a type that stands in several has one base per `Tag`.
/// Destroying a node takes it out of its list.
template <typename Tag = void>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (!linked()) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  template <typename T, typename ListTag>
  friend class IntrusiveList;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

/// Doubly linked list through its elements: no allocation, O(1) removal from the middle. Owns nothing. Single-threaded.
template <typename T, typename Tag = void>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  IntrusiveList() { head_.next_ = head_.previous_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    while (pop_front() != nullptr) {
    }
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  T* front() { return empty() ? nullptr : static_cast<T*>(head_.next_); }
  T* back() { return empty() ? nullptr : static_cast<T*>(head_.previous_); }
  /// The element after `element`, or null at the end.
  T* next(T& element) {
    Node* node = static_cast<Node&>(element).next_;
    return node == &head_ ? nullptr : static_cast<T*>(node);
  }
  void push_back(T& element) { insert_before(head_, element); }
  void push_front(T& element) { insert_before(*head_.next_, element); }
  T* pop_front() {
    T* first = front();
    if (first != nullptr) static_cast<Node*>(first)->unlink();
    return first;
  }

 private:
  void insert_before(Node& position, Node& node) {
    ASSERT(!node.linked());
    node.next_ = &position;
    node.previous_ = position.previous_;
    position.previous_->next_ = &node;
    position.previous_ = &node;
  }

  Node head_;
};

}  // namespace cenote
