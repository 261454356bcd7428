// Every filter there is. To add one: its folder under source/filter, one line in catalogue.cc, a
// test, a page of docs (docs/writing_a_filter.md).
#pragma once

#include "source/decode/catalogue.h"

namespace heddle::filter {

const decode::Catalogue& AllFilters();

}  // namespace heddle::filter
