/* Orders for qsort(). Pure. */
#ifndef PHX_BASE_ORDER_H
#define PHX_BASE_ORDER_H

#include <string.h>

/* By the values of the bytes; of two that begin alike the shorter one comes first. Returns less
 * than, equal to or more than 0. Neither is NULL. */
static inline int phx_order_bytes(const char *left, size_t left_size, const char *right,
                                  size_t right_size)
{
    int order = memcmp(left, right, left_size < right_size ? left_size : right_size);
    return order ? order : (left_size > right_size) - (left_size < right_size);
}

#endif
