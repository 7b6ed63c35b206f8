package volume

import (
	"errors"
	"fmt"
	"io"

	"dmcow/internal/cache"
	"dmcow/internal/device"
	"dmcow/internal/integrity"
	"dmcow/internal/thin"
	"dmcow/internal/words"
	"dmcow/internal/writecache"
	"dmcow/lvm"
)

// A target is a segment that device-mapper serves by metadata of its own, which says where its content is.
type target struct {
	*tree
	of   *lvm.Logical
	part lvm.Part
	on   []*device.Device // what it was found to be on
	lost error            // why something without which nothing of it can be read is not there
}

// wrong is an error that names the volume where that is not the one that was asked for.
func (t *target) wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if t.of != t.Logical {
		err = fmt.Errorf("%s: %w", t.InGroup(t.of), err)
	}
	return err
}

// under is the content of another volume, which a value of a segment names.
func (t *target) under(s *lvm.Segment, key string) (*device.Device, error) {
	name := s.Text(key)
	if key == "origin" {
		name = s.Origin
	}
	l := t.Group.Find(name)
	if l == nil {
		return nil, t.wrong("its %s is %q, and there is no such volume", key, name)
	}
	parts, err := t.volume(l)
	if err != nil {
		return nil, err
	}
	if err := t.count(parts); err != nil {
		return nil, err
	}
	d, err := t.join(l.Name, parts)
	if err == nil {
		t.on = append(t.on, d)
	}
	return d, err
}

// vital is [target.under] of what must be there as a whole.
func (t *target) vital(s *lvm.Segment, key string) (*device.Device, error) {
	d, err := t.under(s, key)
	if err == nil && t.lost == nil {
		t.lost = d.Gone()
	}
	return d, err
}

// pool is the segment of the volume that a value names, which is a pool or stands in place of one.
func (t *target) pool(key, kind string) (*lvm.Segment, error) {
	name := t.part.Text(key)
	if l := t.Group.Find(name); l != nil && len(l.Segments) == 1 && l.Segments[0].Type == kind {
		return l.Segments[0], nil
	}
	return nil, t.wrong("its %s is %q, expected a volume of type %s", key, name, kind)
}

// target makes the parts of a segment by what find finds. The content that find returns is not asked for
// where the volume is only to be placed.
func (t *tree) target(l *lvm.Logical, p lvm.Part, find func(*target) (content func() (io.ReaderAt, error), err error)) ([]device.Part, error) {
	if len(l.Segments) != 1 {
		return nil, t.Group.Unsupported(l, p.Segment, "beside others, which cannot be read")
	}
	a := &target{tree: t, of: l, part: p}
	content, err := find(a)
	if err != nil {
		return nil, err
	}
	if a.lost != nil {
		return gone(p.Length, a.lost), nil
	}
	var r io.ReaderAt = placed{}
	if t.purpose != toPlace {
		if r, err = content(); err != nil {
			if errors.Is(err, cache.ErrUnclean) {
				err = words.Hint(err, "lvchange --activate y %[1]s; lvconvert --splitcache %[1]s", t.InGroup(l))
			}
			return nil, a.wrong("%w", err)
		}
		a.tellGone()
	}
	return []device.Part{{Length: p.Length, Stripes: []device.Stripe{{On: device.Computed(l.Name, p.Length, r, a.on...)}}}}, nil
}

// tellGone tells of what is not there: which bytes of the volume are on that, none knows before they are read.
func (t *target) tellGone() {
	for _, d := range t.on {
		if missing := d.Gone(); missing != nil {
			t.Gone = fmt.Errorf("%w: some of it is lost; the rest can be read", missing)
			t.sight.say(t.Name, "%v", t.Gone)
			return
		}
	}
}

// placed is the content of what is only to be placed.
type placed struct{}

func (placed) ReadAt([]byte, int64) (int, error) { return 0, errors.New("is not to be read") }

// thin finds a volume of a thin pool.
func (t *target) thin() (func() (io.ReaderAt, error), error) {
	pool, err := t.pool("thin_pool", "thin-pool")
	if err != nil {
		return nil, err
	}
	metadata, err := t.vital(pool, "metadata")
	if err != nil {
		return nil, err
	}
	v := thin.Volume{ID: t.part.Number("device_id"), Size: t.part.Length}
	if v.Data, err = t.under(pool, "pool"); err != nil {
		return nil, err
	}
	if t.part.Text("external_origin") != "" {
		if v.External, err = t.under(t.part.Segment, "external_origin"); err != nil {
			return nil, err
		}
	}
	return func() (io.ReaderAt, error) {
		p, err := thin.Open(metadata, metadata.Size())
		if err != nil {
			return nil, err
		}
		if p.NeedsCheck {
			t.sight.say(t.InGroup(t.of), "the metadata of its thin pool needs a check (lvconvert --repair); what can be read of it is read")
		}
		if own := pool.Number("transaction_id"); own != p.Transaction {
			t.sight.say(t.InGroup(t.of), "its thin pool's own metadata is of transaction %d, and LVM's of %d: one of them is old", p.Transaction, own)
		}
		return p.Open(v)
	}, nil
}

// cache finds a volume that has a cache.
func (t *target) cache() (func() (io.ReaderAt, error), error) {
	origin, err := t.under(t.part.Segment, "origin")
	if err != nil {
		return nil, err
	}
	settings := t.part.Segment
	if !t.part.Has("CACHE_USES_CACHEVOL") {
		if settings, err = t.pool("cache_pool", "cache-pool"); err != nil {
			return nil, err
		}
	}
	if settings.Text("cache_mode") != "writeback" {
		return func() (io.ReaderAt, error) { return origin, nil }, nil
	}
	metadata, data, err := t.cacheOn(settings)
	if err != nil {
		return nil, err
	}
	return func() (io.ReaderAt, error) {
		c, err := cache.Open(metadata, metadata.Size())
		if err != nil {
			return nil, err
		}
		if c.NeedsCheck {
			t.sight.say(t.InGroup(t.of), "the metadata of its cache needs a check (lvconvert --repair); what can be read of it is read")
		}
		return c.Volume(origin, data), nil
	}, nil
}

// cacheOn are the metadata and the data of a cache: two volumes of a pool, or two parts of one volume.
func (t *target) cacheOn(settings *lvm.Segment) (metadata, data *device.Device, err error) {
	if settings.Type == "cache-pool" {
		if metadata, err = t.vital(settings, "metadata"); err == nil {
			data, err = t.under(settings, "data")
		}
		return metadata, data, err
	}
	whole, err := t.vital(settings, "cache_pool")
	if err != nil {
		return nil, nil, err
	}
	section := func(what string) (*device.Device, error) {
		start, length := settings.Number(what+"_start"), settings.Number(what+"_len")
		if sectors := uint64(whole.Size() / lvm.SectorSize); start > sectors || length > sectors-start {
			return nil, t.wrong("%s of its cache is %d sectors from sector %d on, of %d", what, length, start, sectors)
		}
		return whole.Section(int64(start)*lvm.SectorSize, int64(length)*lvm.SectorSize)
	}
	if metadata, err = section("metadata"); err == nil {
		data, err = section("data")
	}
	return metadata, data, err
}

// writecache finds a volume that has a writecache.
func (t *target) writecache() (func() (io.ReaderAt, error), error) {
	origin, err := t.under(t.part.Segment, "origin")
	if err != nil {
		return nil, err
	}
	data, err := t.vital(t.part.Segment, "writecache")
	if err != nil {
		return nil, err
	}
	return func() (io.ReaderAt, error) {
		c, err := writecache.Open(data)
		if err != nil {
			return nil, err
		}
		return c.Volume(origin), nil
	}, nil
}

// integrity finds a volume whose blocks have checksums.
func (t *target) integrity() (func() (io.ReaderAt, error), error) {
	data, err := t.under(t.part.Segment, "origin")
	if err != nil {
		return nil, err
	}
	metadata, err := t.vital(t.part.Segment, "meta_dev")
	if err != nil {
		return nil, err
	}
	return func() (io.ReaderAt, error) {
		i, err := integrity.Open(metadata)
		if err != nil {
			return nil, err
		}
		return i.Volume(data, t.part.Text("internal_hash")), nil
	}, nil
}
