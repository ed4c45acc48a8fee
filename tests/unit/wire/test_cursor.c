#include "wire/cursor.h"

#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "base/err.h"
#include "wire/packer.h"

#include "harness.h"

/* The one token that `size` bytes must be. */
static struct phx_token only_token(const struct phx_buf *buf)
{
    struct phx_cursor cursor;
    struct phx_token token;
    phx_cursor_init(&cursor, phx_buf_head(buf), phx_buf_size(buf));
    ck_assert_int_eq(phx_cursor_next(&cursor, &token), 0);
    ck_assert_ptr_eq(cursor.at, cursor.end);
    return token;
}

START_TEST(numbers_arrive_in_every_width)
{
    for (int bits = 0; bits < 64; bits++) {
        for (int off = -1; off <= 1; off++) {
            struct phx_buf buf;
            phx_buf_init(&buf);
            msgpack_packer packer = phx_packer(&buf);
            uint64_t up = ((uint64_t)1 << bits) + (uint64_t)off;
            ck_assert_int_eq(msgpack_pack_uint64(&packer, up), 0);
            struct phx_token token = only_token(&buf);
            ck_assert_int_eq(token.kind, PHX_TOKEN_UINT);
            ck_assert_uint_eq(token.u, up);
            phx_buf_consume(&buf, phx_buf_size(&buf));

            int64_t down = (int64_t)(0 - up);
            ck_assert_int_eq(msgpack_pack_int64(&packer, down), 0);
            token = only_token(&buf);
            ck_assert_int_eq(token.kind, down < 0 ? PHX_TOKEN_INT : PHX_TOKEN_UINT);
            ck_assert_int_eq(token.i, down);
            phx_buf_fini(&buf);
        }
    }
}
END_TEST

START_TEST(floats_arrive_in_both_widths)
{
    struct phx_buf buf;
    phx_buf_init(&buf);
    msgpack_packer packer = phx_packer(&buf);
    ck_assert_int_eq(msgpack_pack_double(&packer, -1.0e-300), 0);
    struct phx_token token = only_token(&buf);
    ck_assert_int_eq(token.kind, PHX_TOKEN_FLOAT);
    ck_assert_double_eq(token.f, -1.0e-300);
    phx_buf_consume(&buf, phx_buf_size(&buf));
    ck_assert_int_eq(msgpack_pack_float(&packer, 1.5f), 0);
    token = only_token(&buf);
    ck_assert_int_eq(token.kind, PHX_TOKEN_FLOAT);
    ck_assert_double_eq(token.f, 1.5);
    phx_buf_fini(&buf);
}
END_TEST

START_TEST(strings_arrive_in_every_length_form)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 16, 17, 31, 32, 255, 256, 65535, 65536};
    char *body = malloc(65536);
    ck_assert_ptr_nonnull(body);
    memset(body, 's', 65536);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int form = 0; form < 3; form++) {
            static const enum phx_token_kind kinds[] = {PHX_TOKEN_STR, PHX_TOKEN_BIN,
                                                        PHX_TOKEN_EXT};
            struct phx_buf buf;
            phx_buf_init(&buf);
            msgpack_packer packer = phx_packer(&buf);
            if (form == 0)
                msgpack_pack_str_with_body(&packer, body, sizes[i]);
            else if (form == 1)
                msgpack_pack_bin_with_body(&packer, body, sizes[i]);
            else
                msgpack_pack_ext_with_body(&packer, body, sizes[i], -7);
            struct phx_token token = only_token(&buf);
            ck_assert_int_eq(token.kind, kinds[form]);
            ck_assert_uint_eq(token.size, sizes[i]);
            ck_assert_int_eq(memcmp(token.bytes, body, sizes[i]), 0);
            if (form == 2)
                ck_assert_int_eq(token.ext_type, -7);
            phx_buf_fini(&buf);
        }
    }
    free(body);
}
END_TEST

START_TEST(a_container_may_not_claim_more_than_there_is)
{
    static const struct {
        const char *bytes;
        size_t size;
    } lies[] = {
        {"\xdd\xff\xff\xff\xff", 5},
        {"\xdf\xff\xff\xff\xff", 5},
        {"\x91", 1},
        {"\x81\xc0", 2},
        {"\xdc\x00\x02\xc0", 4},
        {"\x92\x91\xc0", 3},
        {"\xdf\x80\x00\x00\x00", 5},
        {"\x93\x93\xc0\xc0\xc0\xc0", 6},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct phx_cursor cursor;
        phx_cursor_init(&cursor, lies[i].bytes, lies[i].size);
        ck_assert_int_eq(phx_cursor_skip(&cursor), PHX_E_PROTO);
    }
    /* Told at the header, before anybody has allocated: two items where one byte is left. */
    struct phx_cursor late;
    struct phx_token claim;
    phx_cursor_init(&late, "\xc0\xc0\x92\xc0", 4);
    ck_assert_int_eq(phx_cursor_skip(&late), 0);
    ck_assert_int_eq(phx_cursor_skip(&late), 0);
    ck_assert_int_eq(phx_cursor_next(&late, &claim), PHX_E_PROTO);
    /* Nested arrays that each claim all that is left: each alone would be plausible. */
    char nested[600];
    for (size_t i = 0; i < sizeof nested; i += 3)
        memcpy(nested + i, "\xdc\x01\x00", 3);
    struct phx_cursor cursor;
    struct phx_token token;
    phx_cursor_init(&cursor, nested, sizeof nested);
    size_t claimed = 0;
    while (phx_cursor_next(&cursor, &token) == 0)
        claimed += token.size;
    ck_assert_uint_gt(claimed, 0);
    ck_assert_uint_le(claimed, sizeof nested);
}
END_TEST

START_TEST(skip_passes_over_one_value_however_deep)
{
    enum { DEPTH = 100000 };
    char *body = malloc(DEPTH + 2);
    ck_assert_ptr_nonnull(body);
    memset(body, '\x91', DEPTH);
    body[DEPTH] = '\xc0';
    body[DEPTH + 1] = '\x07';
    struct phx_cursor cursor;
    phx_cursor_init(&cursor, body, DEPTH + 2);
    ck_assert_int_eq(phx_cursor_skip(&cursor), 0);
    uint64_t next;
    ck_assert_int_eq(phx_cursor_uint(&cursor, 7, &next), 0);
    ck_assert_uint_eq(next, 7);
    free(body);
}
END_TEST

START_TEST(expectations_are_checked)
{
    struct phx_cursor cursor;
    size_t size;
    uint64_t number;
    int32_t signed_number;
    const char *text;
    phx_cursor_init(&cursor, "\x90\x08\xce\x80\x00\x00\x00\xd3\xff\xff\xff\xff\x7f\xff\xff\xff\xa0",
                    17);
    struct phx_cursor again = cursor;
    ck_assert_int_eq(phx_cursor_str(&again, &text, &size), PHX_E_PROTO);
    ck_assert_int_eq(phx_cursor_array(&cursor, &size), 0);
    again = cursor;
    ck_assert_int_eq(phx_cursor_array(&again, &size), PHX_E_PROTO);
    again = cursor;
    ck_assert_int_eq(phx_cursor_uint(&again, 7, &number), PHX_E_PROTO);
    ck_assert_int_eq(phx_cursor_uint(&cursor, 8, &number), 0);
    ck_assert_int_eq(phx_cursor_int32(&cursor, &signed_number), PHX_E_PROTO); /* 2^31 */
    ck_assert_int_eq(phx_cursor_int32(&cursor, &signed_number), PHX_E_PROTO); /* -2^31 - 1 */
    again = cursor;
    ck_assert_int_eq(phx_cursor_int32(&again, &signed_number), PHX_E_PROTO);
    ck_assert_int_eq(phx_cursor_str(&cursor, &text, &size), 0);
    ck_assert_uint_eq(size, 0);
    ck_assert_int_eq(phx_cursor_str(&cursor, &text, &size), PHX_E_PROTO); /* the end */
}
END_TEST

/* What msgpack-c's reader thinks of the first value in `body`: its size, or 0 if it is none.
 * Asked only about bodies whose claims have been checked, for it allocates what is claimed. */
static size_t reference_size(const char *body, size_t size)
{
    size_t used = 0;
    msgpack_unpacked result;
    msgpack_unpacked_init(&result);
    msgpack_unpack_return status = msgpack_unpack_next(&result, body, size, &used);
    msgpack_unpacked_destroy(&result);
    return status == MSGPACK_UNPACK_SUCCESS || status == MSGPACK_UNPACK_EXTRA_BYTES ? used : 0;
}

START_TEST(random_bytes_end_where_msgpack_c_says)
{
    enum { ROUNDS = 200000, SIZE_MAX_BYTES = 24 };
    srand(20);
    size_t agreed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = 1 + (size_t)rand() % SIZE_MAX_BYTES;
        char *body = malloc(size); /* its exact size, so that ASan sees a read outside */
        ck_assert_ptr_nonnull(body);
        for (size_t i = 0; i < size; i++)
            body[i] = (char)rand();
        struct phx_cursor cursor;
        phx_cursor_init(&cursor, body, size);
        if (phx_cursor_skip(&cursor) == 0) {
            ck_assert_uint_eq(reference_size(body, size), (size_t)(cursor.at - body));
            agreed++;
        }
        free(body);
    }
    ck_assert_uint_gt(agreed, ROUNDS / 10);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, numbers_arrive_in_every_width);
    tcase_add_test(tests, floats_arrive_in_both_widths);
    tcase_add_test(tests, strings_arrive_in_every_length_form);
    tcase_add_test(tests, a_container_may_not_claim_more_than_there_is);
    tcase_add_test(tests, skip_passes_over_one_value_however_deep);
    tcase_add_test(tests, expectations_are_checked);
    tcase_add_test(tests, random_bytes_end_where_msgpack_c_says);
}

int main(void)
{
    return harness_run("cursor", 60, add);
}
