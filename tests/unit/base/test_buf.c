#include "base/buf.h"

#include <string.h>

#include "harness.h"

START_TEST(bytes_come_out_as_they_went_in)
{
    struct phx_buf buf;
    phx_buf_init(&buf);
    unsigned char expected = 0, next = 0;
    for (int round = 0; round < 3000; round++) {
        unsigned char chunk[17];
        for (size_t i = 0; i < sizeof chunk; i++)
            chunk[i] = next++;
        ck_assert_int_eq(phx_buf_append(&buf, chunk, sizeof chunk), 0);
        size_t take = phx_buf_size(&buf) < 13 ? phx_buf_size(&buf) : 13;
        for (size_t i = 0; i < take; i++)
            ck_assert_uint_eq((unsigned char)phx_buf_head(&buf)[i], expected++);
        phx_buf_consume(&buf, take);
    }
    ck_assert_uint_eq(phx_buf_size(&buf), 3000 * (17 - 13));
    phx_buf_fini(&buf);
    ck_assert_ptr_null(buf.data);
}
END_TEST

START_TEST(a_drained_buffer_starts_over_without_growing)
{
    struct phx_buf buf;
    phx_buf_init(&buf);
    char chunk[1000] = {0};
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(phx_buf_append(&buf, chunk, sizeof chunk), 0);
        phx_buf_consume(&buf, sizeof chunk);
    }
    ck_assert_uint_le(buf.capacity, 4096);
    phx_buf_fini(&buf);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, bytes_come_out_as_they_went_in);
    tcase_add_test(tests, a_drained_buffer_starts_over_without_growing);
}

int main(void)
{
    return harness_run("buf", 10, add);
}
