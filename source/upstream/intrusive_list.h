// A doubly linked list through its members: no allocation, and a member leaves it without knowing
// which list it is in.
//
//   struct Waiter : ListNode<Waiter> {};
//   IntrusiveList<Waiter> waiting;
//   waiting.PushBack(&w);    w.Unlink();    if (Waiter* w = waiting.Front()) ...
#pragma once

namespace heddle::upstream {

template <typename T>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { Unlink(); }
  bool linked() const { return next_ != this; }
  void Unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = this;
  }

 private:
  template <typename>
  friend class IntrusiveList;
  ListNode* next_ = this;
  ListNode* prev_ = this;
};

// Does not own. Members that are left when the list dies become unlinked.
template <typename T>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    while (!empty()) end_.next_->Unlink();
  }
  bool empty() const { return !end_.linked(); }
  T* Front() { return empty() ? nullptr : static_cast<T*>(end_.next_); }
  // `node` must not be in a list.
  void PushFront(ListNode<T>* node) { Insert(node, &end_, end_.next_); }
  void PushBack(ListNode<T>* node) { Insert(node, end_.prev_, &end_); }
  // Appends all members of `other`, which is empty then.
  void TakeAll(IntrusiveList& other) {
    while (T* node = other.Front()) {
      static_cast<ListNode<T>*>(node)->Unlink();
      PushBack(node);
    }
  }

 private:
  static void Insert(ListNode<T>* node, ListNode<T>* before, ListNode<T>* after) {
    node->prev_ = before;
    node->next_ = after;
    before->next_ = node;
    after->prev_ = node;
  }
  ListNode<T> end_;
};

}  // namespace heddle::upstream
