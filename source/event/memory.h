// Where libevent's small, everlasting allocations go. Private to source/event.
#pragma once

namespace heddle::event {

// libevent keeps 16 bytes for each descriptor number it ever saw. Scattered between connections on
// the heap they would hold its pages after a burst, so they get pages of their own. Call before the
// first event_base is made.
void SetLibeventMemory();

}  // namespace heddle::event
