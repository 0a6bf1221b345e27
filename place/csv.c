/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "lib/replace.h"
#include "place/res.h"

#define CHUNK_BYTES ((size_t)256 << 10)

struct km_csv_reader {
	char *path;
	int fd;
	bool known; /* whether it is gzip was seen */
	bool gzip, in_member; /* a gzip stream's end is no end inside a member */
	z_stream z;
	unsigned char *raw; /* [CHUNK_BYTES], as in the file */
	size_t raw_at, raw_nr;
	bool at_end; /* of the file */
	char *chunk; /* [CHUNK_BYTES], read ahead */
	size_t chunk_at, chunk_nr;
	char *line; /* [KM_CSV_LINE_MAX + 2], this line, cut up by NULs */
	size_t line_bytes;
	uint64_t line_nr;
	uint32_t field_nr;
	struct km_csv_field field[KM_CSV_FIELDS_MAX];
};

struct km_csv_writer {
	char *path; /* as given, for messages */
	struct km_replace file;
	gzFile gz; /* NULL once settled */
	int err;
	bool in_line;
	size_t nr;
	char chunk[CHUNK_BYTES];
};

int km_csv_open(struct km_csv_reader **out, const char *path, struct km_diag *diag)
{
	struct km_csv_reader *csv = calloc(1, sizeof(*csv));
	int err;

	if (!csv)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	csv->fd = -1;
	csv->path = strdup(path);
	csv->chunk = malloc(CHUNK_BYTES);
	csv->raw = malloc(CHUNK_BYTES);
	csv->line = malloc(KM_CSV_LINE_MAX + 2);
	if (!csv->path || !csv->chunk || !csv->raw || !csv->line) {
		km_csv_close(csv);
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	}
	csv->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (csv->fd < 0) {
		err = -errno;
		km_csv_close(csv);
		if (!*path)
			return km_diag_set(diag, err, NULL, 0, 0,
					   "the name of the file to read is empty");
		return km_diag_set(diag, err, path, 0, 0, "%s", strerror(-err));
	}
	*out = csv;
	return 0;
}

void km_csv_close(struct km_csv_reader *csv)
{
	if (!csv)
		return;
	if (csv->gzip)
		km_ignore(inflateEnd(&csv->z)); /* only frees */
	if (csv->fd >= 0)
		close(csv->fd);
	free(csv->line);
	free(csv->raw);
	free(csv->chunk);
	free(csv->path);
	free(csv);
}

static int damaged(const struct km_csv_reader *csv, struct km_diag *diag, const char *why)
{
	return km_diag_set(diag, -EIO, csv->path, csv->line_nr, 0, "cannot read on: %s", why);
}

/* More of the file behind what is left of it, until @least bytes are there or it ends. */
static int fill_raw(struct km_csv_reader *csv, size_t least, struct km_diag *diag)
{
	ssize_t nr;

	if (csv->raw_at == csv->raw_nr)
		csv->raw_at = csv->raw_nr = 0;
	while (!csv->at_end && csv->raw_nr - csv->raw_at < least) {
		nr = read(csv->fd, csv->raw + csv->raw_nr, CHUNK_BYTES - csv->raw_nr);
		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return csv->line_nr > 1 ? damaged(csv, diag, strerror(errno))
						: km_diag_set(diag, -EIO, csv->path, 0, 0, "%s",
							      strerror(errno));
		csv->at_end = !nr;
		csv->raw_nr += (size_t)nr;
	}
	return 0;
}

/* Told by content: gzip begins with 1f 8b, which no header line does. */
static int look_at_start(struct km_csv_reader *csv, struct km_diag *diag)
{
	int err = fill_raw(csv, 2, diag);

	if (err)
		return err;
	csv->known = true;
	if (csv->raw_nr < 2 || csv->raw[0] != 0x1f || csv->raw[1] != 0x8b)
		return 0;
	/* The widest window, and gzip's frame alone. */
	if (inflateInit2(&csv->z, 15 + 16) != Z_OK)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	csv->gzip = csv->in_member = true;
	return 0;
}

static int fill_plain(struct km_csv_reader *csv, struct km_diag *diag)
{
	int err = fill_raw(csv, 1, diag);

	if (err)
		return err;
	csv->chunk_nr = csv->raw_nr - csv->raw_at;
	memcpy(csv->chunk, csv->raw + csv->raw_at, csv->chunk_nr);
	csv->raw_at = csv->raw_nr;
	return csv->chunk_nr > 0;
}

/* Some bytes of the stream into the chunk. Return: 0, also when none came yet, or -errno. */
static int inflate_some(struct km_csv_reader *csv, struct km_diag *diag)
{
	z_stream *z = &csv->z;
	int got;

	z->next_in = csv->raw + csv->raw_at;
	z->avail_in = (unsigned int)(csv->raw_nr - csv->raw_at);
	z->next_out = (unsigned char *)csv->chunk;
	z->avail_out = CHUNK_BYTES;
	got = inflate(z, Z_NO_FLUSH);
	csv->raw_at = csv->raw_nr - z->avail_in;
	csv->chunk_nr = CHUNK_BYTES - z->avail_out;
	if (got == Z_STREAM_END) {
		csv->in_member = false;
		return 0;
	}
	if (got == Z_MEM_ERROR)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	if (got != Z_OK && got != Z_BUF_ERROR)
		return damaged(csv, diag, z->msg ? z->msg : "the gzip stream is damaged");
	return 0;
}

/* The members of a gzip file follow one another; whatever is behind one is another, or damage. */
static int fill_gzip(struct km_csv_reader *csv, struct km_diag *diag)
{
	int err = 0;

	while (!err && !csv->chunk_nr) {
		err = fill_raw(csv, 1, diag);
		if (err)
			break;
		if (csv->raw_at == csv->raw_nr)
			return csv->in_member ? damaged(csv, diag, "the gzip stream is cut short")
					      : 0;
		if (!csv->in_member && inflateReset(&csv->z) != Z_OK)
			return damaged(csv, diag, "the gzip stream is damaged");
		csv->in_member = true;
		err = inflate_some(csv, diag);
	}
	return err ? err : 1;
}

/* Refill the chunk. Return: 1, 0 at the end, -EIO. */
static int fill_chunk(struct km_csv_reader *csv, struct km_diag *diag)
{
	int err = csv->known ? 0 : look_at_start(csv, diag);

	csv->chunk_at = csv->chunk_nr = 0;
	if (err)
		return err;
	return csv->gzip ? fill_gzip(csv, diag) : fill_plain(csv, diag);
}

static int line_refuse(struct km_csv_reader *csv, size_t at, struct km_diag *diag, const char *why)
{
	return km_diag_set(diag, -EINVAL, csv->path, csv->line_nr, (uint32_t)at + 1, "%s", why);
}

/* One raw line without its end into csv->line. Return: 1, 0, -EINVAL or -EIO. */
static int read_line(struct km_csv_reader *csv, struct km_diag *diag)
{
	bool any = false;
	char *from, *end;
	size_t nr;
	int got;

	csv->line_bytes = 0;
	csv->line_nr++;
	for (;;) {
		if (csv->chunk_at == csv->chunk_nr) {
			got = fill_chunk(csv, diag);
			if (got < 0)
				return got;
			if (!got)
				return any;
		}
		any = true;
		from = csv->chunk + csv->chunk_at;
		end = memchr(from, '\n', csv->chunk_nr - csv->chunk_at);
		nr = end ? (size_t)(end - from) : csv->chunk_nr - csv->chunk_at;
		if (csv->line_bytes + nr > KM_CSV_LINE_MAX)
			return line_refuse(csv, KM_CSV_LINE_MAX, diag,
					   "the line is longer than 65536 bytes");
		memcpy(csv->line + csv->line_bytes, from, nr);
		csv->line_bytes += nr;
		csv->chunk_at += nr + !!end;
		if (end)
			return 1;
	}
}

/* Drop the CR of a CRLF and, on line 1, a byte order mark. Return: bytes dropped in front. */
static size_t trim_line(struct km_csv_reader *csv)
{
	if (csv->line_bytes && csv->line[csv->line_bytes - 1] == '\r')
		csv->line_bytes--;
	csv->line[csv->line_bytes] = '\0';
	return csv->line_nr == 1 && csv->line_bytes >= 3 && !memcmp(csv->line, "\xef\xbb\xbf", 3)
		       ? 3
		       : 0;
}

/* Unquote the field that starts at line[at] in place. Return: where it ends, or -EINVAL. */
static ssize_t cut_quoted(struct km_csv_reader *csv, size_t at, struct km_csv_field *field,
			  struct km_diag *diag)
{
	char *line = csv->line, *to = line + at;
	size_t from = at + 1;

	field->text = to;
	for (;; from++) {
		if (from >= csv->line_bytes)
			return line_refuse(csv, at, diag, "the quoted field has no closing quote");
		if (line[from] == '"' && line[from + 1] != '"')
			break;
		from += line[from] == '"';
		*to++ = line[from];
	}
	*to = '\0';
	field->bytes = (uint32_t)(to - field->text);
	from++;
	if (from < csv->line_bytes && line[from] != ',')
		return line_refuse(csv, from, diag, "text after a closing quote");
	return (ssize_t)from;
}

static ssize_t cut_plain(struct km_csv_reader *csv, size_t at, struct km_csv_field *field,
			 struct km_diag *diag)
{
	char *line = csv->line, *comma = memchr(line + at, ',', csv->line_bytes - at), *quote;
	size_t end = comma ? (size_t)(comma - line) : csv->line_bytes;

	field->text = line + at;
	field->bytes = (uint32_t)(end - at);
	quote = memchr(field->text, '"', field->bytes);
	if (quote)
		return line_refuse(csv, (size_t)(quote - line), diag,
				   "a quote inside a field that does not begin with one");
	return (ssize_t)end;
}

static int cut_fields(struct km_csv_reader *csv, size_t at, struct km_diag *diag)
{
	struct km_csv_field *field;
	ssize_t end;

	for (csv->field_nr = 0;; at = (size_t)end + 1) {
		if (csv->field_nr == KM_CSV_FIELDS_MAX)
			return line_refuse(csv, at, diag, "more than 64 fields");
		field = &csv->field[csv->field_nr++];
		field->column = (uint32_t)at + 1;
		end = csv->line[at] == '"' ? cut_quoted(csv, at, field, diag)
					   : cut_plain(csv, at, field, diag);
		if (end < 0)
			return (int)end;
		if ((size_t)end == csv->line_bytes)
			return 1;
		csv->line[end] = '\0';
	}
}

int km_csv_next(struct km_csv_reader *csv, struct km_diag *diag)
{
	const char *bad;
	size_t start;
	int got;

	do {
		got = read_line(csv, diag);
		if (got <= 0)
			return got;
		start = trim_line(csv);
	} while (csv->line_bytes == start);
	bad = memchr(csv->line, '\0', csv->line_bytes);
	if (bad)
		return line_refuse(csv, (size_t)(bad - csv->line), diag, "a NUL byte");
	bad = memchr(csv->line, '\r', csv->line_bytes);
	if (bad)
		return line_refuse(csv, (size_t)(bad - csv->line), diag,
				   "a carriage return inside the line");
	return cut_fields(csv, start, diag);
}

uint32_t km_csv_field_nr(const struct km_csv_reader *csv)
{
	return csv->field_nr;
}

const struct km_csv_field *km_csv_field(const struct km_csv_reader *csv, uint32_t idx)
{
	KM_BUG_ON(idx >= csv->field_nr);
	return &csv->field[idx];
}

int km_csv_refuse(const struct km_csv_reader *csv, uint32_t idx, struct km_diag *diag,
		  const char *fmt, ...)
{
	uint32_t column = idx < csv->field_nr ? csv->field[idx].column
					      : (uint32_t)csv->line_bytes + 1;
	char why[sizeof(diag->reason)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	return km_diag_set(diag, -EINVAL, csv->path, csv->line_nr, column, "%s", why);
}

/* Bytes of the UTF-8 sequence at @text, 0 when it is none (RFC 3629). */
static uint32_t utf8_bytes(const unsigned char *text)
{
	const unsigned char c = text[0];
	uint32_t nr = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	uint32_t i;

	for (i = 1; i < nr; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0; /* also at the NUL behind the text */
	if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f) ||
	    (c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f))
		return 0; /* overlong, a surrogate, or beyond the last */
	return nr;
}

int km_csv_name(const struct km_csv_reader *csv, uint32_t idx, struct km_diag *diag)
{
	const struct km_csv_field *field = km_csv_field(csv, idx);
	const unsigned char *text = (const unsigned char *)field->text;
	uint32_t at = 0, nr;

	if (field->bytes > KM_CSV_TEXT_MAX)
		return km_csv_refuse(csv, idx, diag, "the text is over %d bytes", KM_CSV_TEXT_MAX);
	while (at < field->bytes) {
		nr = utf8_bytes(text + at);
		if (!nr)
			return km_diag_set(diag, -EINVAL, csv->path, csv->line_nr,
					   field->column + at, "byte 0x%02x is not UTF-8",
					   text[at]);
		at += nr;
	}
	return 0;
}

int km_csv_header(const struct km_csv_reader *csv, struct km_diag *diag)
{
	uint32_t i, j;
	int err;

	for (i = 0; i < csv->field_nr; i++) {
		if (!csv->field[i].bytes)
			return km_csv_refuse(csv, i, diag, "the column has no name");
		if (csv->field[i].bytes > KM_CSV_TEXT_MAX)
			return km_csv_refuse(csv, i, diag, "the column's name is over %d bytes",
					     KM_CSV_TEXT_MAX);
		err = km_csv_name(csv, i, diag);
		if (err)
			return err;
		for (j = 0; j < i; j++)
			if (!strcmp(csv->field[i].text, csv->field[j].text))
				return km_csv_refuse(csv, i, diag, "column '%s' is there twice",
						     csv->field[i].text);
	}
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int km_csv_decimal(const struct km_csv_reader *csv, uint32_t idx, int32_t *thousandths,
		   struct km_diag *diag)
{
	const struct km_csv_field *field = km_csv_field(csv, idx);
	const char *text = field->text;
	int64_t value = 0;
	int decimals = 0;

	*thousandths = 0;
	if (!field->bytes)
		return 0;
	if (*text == '-')
		return km_csv_refuse(csv, idx, diag, "'%.40s' is negative", field->text);
	if (!is_digit(*text))
		goto err_form;
	for (; is_digit(*text); text++) {
		value = value * 10 + (*text - '0');
		if (value > KM_RES_MAX / KM_RES_SCALE)
			goto err_range;
	}
	if (*text == '.') {
		for (text++; is_digit(*text); text++, decimals++)
			if (decimals < 3)
				value = value * 10 + (*text - '0');
		if (!decimals)
			goto err_form;
	}
	if (*text)
		goto err_form;
	if (decimals > 3)
		return km_csv_refuse(csv, idx, diag, "'%.40s' has more than 3 decimals",
				     field->text);
	for (; decimals < 3; decimals++)
		value *= 10;
	if (value > KM_RES_MAX)
		goto err_range;
	*thousandths = (int32_t)value;
	return 0;

err_form:
	return km_csv_refuse(csv, idx, diag, "'%.40s' is not a decimal number", field->text);
err_range:
	return km_csv_refuse(csv, idx, diag, "'%.40s' is more than %d", field->text,
			     KM_RES_MAX / KM_RES_SCALE);
}

int km_csv_int(const struct km_csv_reader *csv, uint32_t idx, int64_t min, int64_t max,
	       int64_t *value, struct km_diag *diag)
{
	const struct km_csv_field *field = km_csv_field(csv, idx);
	const char *text = field->text;
	bool negative = *text == '-';
	uint64_t sum = 0;

	text += negative;
	if (!is_digit(*text))
		goto err_form;
	for (; is_digit(*text); text++) {
		if (sum > (UINT64_MAX - 9) / 10)
			goto err_range;
		sum = sum * 10 + (uint64_t)(*text - '0');
	}
	if (*text)
		goto err_form;
	if (sum > (uint64_t)INT64_MAX)
		goto err_range;
	*value = negative ? -(int64_t)sum : (int64_t)sum;
	if (*value < min || *value > max)
		goto err_range;
	return 0;

err_form:
	return km_csv_refuse(csv, idx, diag, "'%.40s' is not a whole number", field->text);
err_range:
	return km_csv_refuse(csv, idx, diag, "'%.40s' is not within %" PRId64 "..%" PRId64,
			     field->text, min, max);
}

static void free_writer(struct km_csv_writer *csv)
{
	free(csv->path);
	free(csv);
}

static bool wants_gzip(const char *path)
{
	size_t bytes = strlen(path);

	return bytes > 3 && !strcmp(path + bytes - 3, ".gz");
}

int km_csv_create(struct km_csv_writer **out, const char *path, struct km_diag *diag)
{
	struct km_csv_writer *csv = malloc(sizeof(*csv));
	int fd, err = -ENOMEM;

	if (!csv)
		return km_diag_set(diag, err, NULL, 0, 0, "out of memory");
	memset(csv, 0, offsetof(struct km_csv_writer, chunk));
	csv->path = strdup(path);
	if (csv->path)
		err = km_replace_open(&csv->file, path);
	if (err)
		goto err_free;
	fd = fcntl(csv->file.fd, F_DUPFD_CLOEXEC, 0); /* zlib closes its own */
	if (fd < 0) {
		err = -errno;
		goto err_remove;
	}
	/* "T": as it is, without gzip; level 6 and no time stamp: same rows, same bytes. */
	csv->gz = gzdopen(fd, wants_gzip(path) ? "wb6" : "wbT");
	if (!csv->gz) {
		close(fd);
		err = -ENOMEM;
		goto err_remove;
	}
	*out = csv;
	return 0;

err_remove:
	km_replace_abandon(&csv->file);
err_free:
	free_writer(csv);
	if (!*path)
		return km_diag_set(diag, err, NULL, 0, 0, "the name of the file to write is empty");
	return km_diag_set(diag, err, path, 0, 0, "cannot write: %s", strerror(-err));
}

static void flush_chunk(struct km_csv_writer *csv)
{
	int why;

	if (!csv->nr || csv->err)
		return;
	if (gzwrite(csv->gz, csv->chunk, (unsigned int)csv->nr) != (int)csv->nr) {
		km_ignore(!gzerror(csv->gz, &why));
		csv->err = why == Z_ERRNO && errno ? -errno : -EIO;
	}
	csv->nr = 0;
}

static void put(struct km_csv_writer *csv, const char *text, size_t bytes)
{
	size_t part;

	for (; bytes; text += part, bytes -= part) {
		if (csv->nr == CHUNK_BYTES)
			flush_chunk(csv);
		if (csv->err)
			return;
		part = bytes < CHUNK_BYTES - csv->nr ? bytes : CHUNK_BYTES - csv->nr;
		memcpy(csv->chunk + csv->nr, text, part);
		csv->nr += part;
	}
}

static void put_separator(struct km_csv_writer *csv)
{
	if (csv->in_line)
		put(csv, ",", 1);
	csv->in_line = true;
}

void km_csv_text(struct km_csv_writer *csv, const char *text)
{
	const char *quote;

	put_separator(csv);
	if (text[strcspn(text, "\r\n")])
		csv->err = csv->err ? csv->err : -EILSEQ; /* the reader would refuse it */
	if (!text[strcspn(text, ",\"")]) {
		put(csv, text, strlen(text));
		return;
	}
	put(csv, "\"", 1);
	while ((quote = strchr(text, '"'))) {
		put(csv, text, (size_t)(quote - text) + 1);
		put(csv, "\"", 1);
		text = quote + 1;
	}
	put(csv, text, strlen(text));
	put(csv, "\"", 1);
}

void km_csv_number(struct km_csv_writer *csv, int64_t value)
{
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	char text[24], *at = text + sizeof(text);

	put_separator(csv);
	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		*--at = '-';
	put(csv, at, (size_t)(text + sizeof(text) - at));
}

void km_csv_thousandths(struct km_csv_writer *csv, int32_t value)
{
	char text[8] = ".";
	int32_t rest = value % 1000, bytes = 4;

	if (!value) {
		put_separator(csv);
		return;
	}
	km_csv_number(csv, value / 1000);
	if (!rest)
		return;
	text[1] = (char)('0' + rest / 100);
	text[2] = (char)('0' + rest / 10 % 10);
	text[3] = (char)('0' + rest % 10);
	while (text[bytes - 1] == '0')
		bytes--;
	put(csv, text, (size_t)bytes);
}

void km_csv_end_line(struct km_csv_writer *csv)
{
	put(csv, "\n", 1);
	csv->in_line = false;
}

/* Return: 0, or the first thing that went wrong since km_csv_create(). */
static int settle(struct km_csv_writer *csv)
{
	int err, why;

	flush_chunk(csv);
	why = gzclose_w(csv->gz);
	csv->gz = NULL;
	err = csv->err ? csv->err : why == Z_OK ? 0 : why == Z_ERRNO && errno ? -errno : -EIO;
	return err ? err : km_replace_settle(&csv->file);
}

int km_csv_settle(struct km_csv_writer *csv, struct km_diag *diag)
{
	int err = settle(csv);

	if (!err)
		return 0;
	km_diag_set(diag, err, csv->path, 0, 0, "%s",
		    err == -EILSEQ ? "a name holds a line break" : strerror(-err));
	km_csv_abandon(csv);
	return err;
}

int km_csv_commit(struct km_csv_writer *csv, struct km_diag *diag)
{
	int err = km_replace_commit(&csv->file);

	if (err)
		km_diag_set(diag, err, csv->path, 0, 0, "cannot replace: %s", strerror(-err));
	free_writer(csv);
	return err;
}

void km_csv_abandon(struct km_csv_writer *csv)
{
	if (!csv)
		return;
	if (csv->gz)
		km_ignore(gzclose_w(csv->gz)); /* what was written goes away */
	km_replace_abandon(&csv->file);
	free_writer(csv);
}
