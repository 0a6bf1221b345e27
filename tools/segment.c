/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/segment.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/seq.h"

#define PREFIX "kamino-"
#define READ_TRIES 100
#define READ_PAUSE_NS 200000

/* Where the words begin: behind the head and the sequence lock, on a line of their own. */
#define SEQ_AT KM_DIV_UP(sizeof(struct km_seg_head), KM_SHARE_BYTES) * KM_SHARE_BYTES
#define WORDS_AT (SEQ_AT + KM_SHARE_BYTES)

#define WORDS(type) (sizeof(type) / sizeof(uint64_t))
static_assert(sizeof(struct km_seg_run) % sizeof(uint64_t) == 0, "words");
static_assert(sizeof(struct km_seg_agent) % sizeof(uint64_t) == 0, "words");
static_assert(sizeof(struct km_seg_decision) % sizeof(uint64_t) == 0, "words");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(_Atomic uint64_t) == sizeof(uint64_t),
	      "a word is atomic in whatever process it is mapped");

struct km_segment {
	int fd;
	char *map;
	size_t file_bytes;
	char path[256];
	struct km_seg_head head; /* a reader's own copy */
};

static size_t word_nr_of(uint64_t agent_nr)
{
	return WORDS(struct km_seg_run) + agent_nr * WORDS(struct km_seg_agent) +
	       KM_SEG_DECISION_NR * WORDS(struct km_seg_decision);
}

static size_t bytes_of(uint64_t agent_nr)
{
	return WORDS_AT + word_nr_of(agent_nr) * sizeof(uint64_t);
}

static struct km_seq *seq_of(const struct km_segment *seg)
{
	return (struct km_seq *)(void *)(seg->map + SEQ_AT);
}

static _Atomic uint64_t *words_of(const struct km_segment *seg)
{
	return (_Atomic uint64_t *)(void *)(seg->map + WORDS_AT);
}

int km_seg_block_init(struct km_seg_block *block, uint32_t agent_nr)
{
	block->agent_nr = agent_nr;
	block->word_nr = word_nr_of(agent_nr);
	block->word = calloc(block->word_nr, sizeof(*block->word));
	if (!block->word)
		return -ENOMEM;
	block->run = (struct km_seg_run *)block->word;
	block->agent = (struct km_seg_agent *)(block->run + 1);
	block->decided = (struct km_seg_decision *)(block->agent + agent_nr);
	block->done = block->decided + KM_SEG_DECIDED_NR;
	return 0;
}

void km_seg_block_fini(struct km_seg_block *block)
{
	free(block->word);
	block->word = NULL;
}

const char *km_segment_dir(void)
{
	const char *dir = getenv("KAMINO_SHM_DIR");

	return dir && dir[0] ? dir : "/dev/shm";
}

/* ---- the writer ------------------------------------------------------------------ */

/* On failure the caller destroys @seg. */
static int make_file(struct km_segment *seg, struct km_diag *diag)
{
	int err;

	seg->fd = open(km_segment_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (seg->fd < 0)
		return km_diag_set(diag, -errno, km_segment_dir(), 0, 0, "no file there: %s",
				   strerror(errno));
	if (flock(seg->fd, LOCK_EX | LOCK_NB))
		return km_diag_set(diag, -errno, km_segment_dir(), 0, 0, "cannot lock: %s",
				   strerror(errno));
	/* All of it now: a write to a page that cannot be had would end the run. */
	err = posix_fallocate(seg->fd, 0, (off_t)seg->file_bytes);
	if (err)
		return km_diag_set(diag, -err, km_segment_dir(), 0, 0, "no room for %zu bytes: %s",
				   seg->file_bytes, strerror(err));
	seg->map = mmap(NULL, seg->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, seg->fd, 0);
	if (seg->map == MAP_FAILED) {
		seg->map = NULL;
		return km_diag_set(diag, -errno, km_segment_dir(), 0, 0, "cannot map: %s",
				   strerror(errno));
	}
	return 0;
}

static int name_file(struct km_segment *seg, struct km_diag *diag)
{
	char from[64];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", seg->fd);
	if (linkat(AT_FDCWD, from, AT_FDCWD, seg->path, AT_SYMLINK_FOLLOW)) {
		int err = -errno;

		seg->path[0] = 0; /* not ours */
		return km_diag_set(diag, err, km_segment_dir(), 0, 0, "no name for it: %s",
				   strerror(-err));
	}
	return 0;
}

int km_segment_create(struct km_segment **out, const struct km_seg_head *head, struct km_diag *diag)
{
	struct km_segment *seg = calloc(1, sizeof(*seg));
	struct km_seg_head *mine;
	int err;

	if (!seg)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	seg->fd = -1;
	seg->file_bytes = bytes_of(head->agent_nr);
	snprintf(seg->path, sizeof(seg->path), "%s/" PREFIX "%ld", km_segment_dir(),
		 (long)getpid());
	err = make_file(seg, diag);
	if (!err) {
		mine = (struct km_seg_head *)(void *)seg->map;
		*mine = *head;
		memcpy(mine->magic, KM_SEG_MAGIC, sizeof(mine->magic));
		mine->layout = KM_SEG_LAYOUT;
		mine->head_bytes = sizeof(*mine);
		mine->run_bytes = sizeof(struct km_seg_run);
		mine->agent_bytes = sizeof(struct km_seg_agent);
		mine->decision_bytes = sizeof(struct km_seg_decision);
		mine->decision_nr = KM_SEG_DECISION_NR;
		mine->file_bytes = seg->file_bytes;
		mine->pid = (uint64_t)getpid();
		err = name_file(seg, diag);
	} else {
		seg->path[0] = 0;
	}
	if (err)
		km_segment_destroy(seg);
	else
		*out = seg;
	return err;
}

void km_segment_write(struct km_segment *seg, const struct km_seg_block *block)
{
	km_seq_write(seq_of(seg), words_of(seg), block->word, block->word_nr);
}

const char *km_segment_path(const struct km_segment *seg)
{
	return seg->path;
}

void km_segment_destroy(struct km_segment *seg)
{
	if (!seg)
		return;
	if (seg->path[0])
		unlink(seg->path);
	km_segment_close(seg);
}

/* ---- what lies there -------------------------------------------------------------- */

/* kamino-PID. Return: the pid; 0 = another name. */
static uint64_t pid_of(const char *name)
{
	size_t nr = strlen(PREFIX);
	char *end;
	unsigned long long pid;

	if (strncmp(name, PREFIX, nr) || name[nr] < '1' || name[nr] > '9')
		return 0;
	errno = 0;
	pid = strtoull(name + nr, &end, 10);
	return *end || errno ? 0 : pid;
}

uint32_t km_segment_clean(void)
{
	char path[256], magic[8];
	struct dirent *entry;
	struct stat st;
	uint32_t nr = 0;
	DIR *dir = opendir(km_segment_dir());
	int fd;

	while (dir && (entry = readdir(dir))) {
		if (!pid_of(entry->d_name) ||
		    snprintf(path, sizeof(path), "%s/%s", km_segment_dir(), entry->d_name) >=
			    (int)sizeof(path))
			continue;
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		    pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
		    !memcmp(magic, KM_SEG_MAGIC, sizeof(magic)) && !flock(fd, LOCK_EX | LOCK_NB))
			nr += !unlink(path);
		close(fd);
	}
	if (dir)
		closedir(dir);
	return nr;
}

static int by_pid(const void *a, const void *b)
{
	const struct km_segment_info *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Return: whether it is still there. */
static bool look_into(struct km_segment_info *info)
{
	struct km_segment *seg;
	int err;

	info->kind = KM_SEGMENT_BAD;
	err = km_segment_open(&seg, info->path, &info->diag);
	if (err)
		return err != -ENOENT;
	info->head = seg->head;
	info->kind = km_segment_is_live(seg) ? KM_SEGMENT_LIVE : KM_SEGMENT_STALE;
	km_segment_close(seg);
	return true;
}

int km_segment_list(struct km_segment_info *out, uint32_t cap, struct km_diag *diag)
{
	DIR *dir = opendir(km_segment_dir());
	struct dirent *entry;
	uint32_t nr = 0;

	if (!dir)
		return km_diag_set(diag, -errno, km_segment_dir(), 0, 0, "%s", strerror(errno));
	while (nr < cap && (entry = readdir(dir))) {
		out[nr].pid = pid_of(entry->d_name);
		if (out[nr].pid &&
		    snprintf(out[nr].path, sizeof(out[nr].path), "%s/%s", km_segment_dir(),
			     entry->d_name) < (int)sizeof(out[nr].path) &&
		    look_into(&out[nr]))
			nr++;
	}
	closedir(dir);
	qsort(out, nr, sizeof(*out), by_pid);
	return (int)nr;
}

/* ---- one segment, read ---------------------------------------------------------------- */

/* End the text within @bytes, and leave nothing in it that a terminal would obey. */
static void make_printable(char *text, size_t bytes)
{
	text[bytes - 1] = 0;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static int check_head(struct km_seg_head *head, uint64_t file_bytes, const char *path,
		      struct km_diag *diag)
{
	if (memcmp(head->magic, KM_SEG_MAGIC, sizeof(head->magic)))
		return km_diag_set(diag, -EINVAL, path, 0, 0, "not written by kamino run");
	if (head->layout != KM_SEG_LAYOUT)
		return km_diag_set(diag, -EINVAL, path, 0, 0,
				   "has layout %" PRIu32
				   ", this kamino reads %d: use the one that runs",
				   head->layout, KM_SEG_LAYOUT);
	if (head->head_bytes != sizeof(*head) || head->run_bytes != sizeof(struct km_seg_run) ||
	    head->agent_bytes != sizeof(struct km_seg_agent) ||
	    head->decision_bytes != sizeof(struct km_seg_decision) ||
	    head->decision_nr != KM_SEG_DECISION_NR || !head->agent_nr ||
	    head->agent_nr > KM_SEG_AGENT_NR_MAX || head->file_bytes != file_bytes ||
	    file_bytes != bytes_of(head->agent_nr))
		return km_diag_set(diag, -EINVAL, path, 0, 0, "is damaged: its sizes do not fit");
	make_printable(head->name, sizeof(head->name));
	make_printable(head->version, sizeof(head->version));
	make_printable(head->policies, sizeof(head->policies));
	return 0;
}

static int open_fd(const char *path, struct stat *st, struct km_diag *diag)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && !lstat(path, st))
		return km_diag_set(diag, -EACCES, path, 0, 0,
				   "no permission: the run is of user id %lu; look as that user or "
				   "as root",
				   (unsigned long)st->st_uid);
	if (fd < 0)
		return km_diag_set(diag, -errno, path, 0, 0, "%s", strerror(errno));
	if (fstat(fd, st) || !S_ISREG(st->st_mode)) {
		close(fd);
		return km_diag_set(diag, -EINVAL, path, 0, 0, "is no file");
	}
	return fd;
}

int km_segment_open(struct km_segment **out, const char *path, struct km_diag *diag)
{
	struct km_segment *seg = calloc(1, sizeof(*seg));
	struct stat st;
	int err;

	if (!seg)
		return km_diag_set(diag, -ENOMEM, NULL, 0, 0, "out of memory");
	seg->fd = err = open_fd(path, &st, diag);
	if (err < 0)
		goto err_close;
	if (pread(seg->fd, &seg->head, sizeof(seg->head), 0) != sizeof(seg->head)) {
		err = km_diag_set(diag, -EINVAL, path, 0, 0, "is too short");
		goto err_close;
	}
	err = check_head(&seg->head, (uint64_t)st.st_size, path, diag);
	if (err)
		goto err_close;
	seg->file_bytes = (size_t)st.st_size;
	seg->map = mmap(NULL, seg->file_bytes, PROT_READ, MAP_SHARED, seg->fd, 0);
	if (seg->map == MAP_FAILED) {
		seg->map = NULL;
		err = km_diag_set(diag, -errno, path, 0, 0, "cannot map: %s", strerror(errno));
		goto err_close;
	}
	*out = seg;
	return 0;

err_close:
	km_segment_close(seg);
	return err;
}

void km_segment_close(struct km_segment *seg)
{
	if (!seg)
		return;
	if (seg->map)
		munmap(seg->map, seg->file_bytes);
	if (seg->fd >= 0)
		close(seg->fd);
	free(seg);
}

const struct km_seg_head *km_segment_head(const struct km_segment *seg)
{
	return &seg->head;
}

bool km_segment_is_live(const struct km_segment *seg)
{
	if (flock(seg->fd, LOCK_SH | LOCK_NB))
		return errno == EWOULDBLOCK;
	flock(seg->fd, LOCK_UN);
	return false;
}

/* Where a SIGBUS goes while a segment is copied: its file was cut short. */
static sigjmp_buf copy_ends;

static void on_bus(int sig)
{
	siglongjmp(copy_ends, sig);
}

static enum km_segment_read copy(const struct km_segment *seg, struct km_seg_block *block)
{
	const struct timespec pause = { .tv_nsec = READ_PAUSE_NS };
	uint32_t tries;

	if (sigsetjmp(copy_ends, 1))
		return KM_SEGMENT_GONE;
	for (tries = 0; tries < READ_TRIES; tries++) {
		if (km_seq_read(seq_of(seg), block->word, words_of(seg), block->word_nr))
			return KM_SEGMENT_READ;
		nanosleep(&pause, NULL);
	}
	return KM_SEGMENT_BUSY;
}

static void bound(uint64_t *value, uint64_t max)
{
	if (*value > max)
		*value = max;
}

static void make_decisions_safe(struct km_seg_decision *list, uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++) {
		bound(&list[i].outcome, KM_OUTCOME_NR - 1);
		make_printable(list[i].type_name, sizeof(list[i].type_name));
	}
}

static void make_safe(struct km_seg_block *block)
{
	struct km_seg_run *run = block->run;

	bound(&run->state, KM_SEG_ENDED);
	bound(&run->decided_nr, KM_SEG_DECIDED_NR);
	bound(&run->done_nr, KM_SEG_DONE_NR);
	make_decisions_safe(block->decided, run->decided_nr);
	make_decisions_safe(block->done, run->done_nr);
	make_printable(run->phase, sizeof(run->phase));
	make_printable(run->policy, sizeof(run->policy));
}

enum km_segment_read km_segment_read(const struct km_segment *seg, struct km_seg_block *block)
{
	struct sigaction act = { .sa_handler = on_bus }, old;
	enum km_segment_read got;

	sigaction(SIGBUS, &act, &old);
	got = copy(seg, block);
	sigaction(SIGBUS, &old, NULL);
	if (got == KM_SEGMENT_READ)
		make_safe(block);
	return got;
}
