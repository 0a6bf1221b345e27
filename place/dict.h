/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/dict.h - strings to dense numbers, in order of first appearance.
 */
#ifndef KM_PLACE_DICT_H
#define KM_PLACE_DICT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base.h"

#define KM_DICT_NONE UINT32_MAX

struct km_dict;

/** km_dict_create() - Return: 0 or -ENOMEM. */
int km_dict_create(struct km_dict **out) KM_MUST_CHECK;
/** km_dict_destroy() - with all its strings; NULL is allowed. */
void km_dict_destroy(struct km_dict *dict);

/**
 * km_dict_intern() - the number of a string, adding it when new.
 * @added: set to whether it was new; may be NULL.
 * Return: 0 with *@id in 0..nr - 1; -ENOMEM; -EOVERFLOW beyond 2^32 - 2 strings.
 */
int km_dict_intern(struct km_dict *dict, const char *text, size_t bytes, uint32_t *id,
		   bool *added) KM_MUST_CHECK;
/** km_dict_find() - Return: the number or KM_DICT_NONE. */
uint32_t km_dict_find(const struct km_dict *dict, const char *text, size_t bytes);
/** km_dict_text() - the string of @id, NUL-terminated; valid until destroy. */
const char *km_dict_text(const struct km_dict *dict, uint32_t id);
/** km_dict_nr() - how many strings; their numbers are below it. */
uint32_t km_dict_nr(const struct km_dict *dict);

#endif
