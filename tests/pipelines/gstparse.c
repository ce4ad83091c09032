/* What GStreamer's own parser makes of the words of gst-launch-1.0, as JSON: the judge of every quote.
 *
 *   gstparse [--standin NAME:KIND:PROP=TYPE,...]... WORD...   one pipeline, from argv
 *   gstparse [--standin ...]... --batch                       many, from stdin: every word ends in NUL, a pipeline in
 *                                                             one more NUL; one line of JSON for each
 *   gstparse [--standin ...]... --line                        one description, from stdin, for gst_parse_launch
 *
 * A stand-in takes the place of an element that this machine has not: KIND is source, filter or sink, TYPE is s (text),
 * u (number) or b (boolean). No pipeline is started.
 */
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

typedef struct { GstElement parent; GHashTable *values; } StandIn;
typedef struct { GstElementClass parent; gchar **properties; } StandInClass;
typedef struct { gchar **properties; gchar kind; } Spec;

static GstStaticPadTemplate any_source = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate any_sink = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate many_sinks = GST_STATIC_PAD_TEMPLATE ("sink_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS_ANY);

static void set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GValue *copy = g_new0 (GValue, 1);
  (void) id;
  g_value_init (copy, pspec->value_type);
  g_value_copy (value, copy);
  g_hash_table_insert (((StandIn *) object)->values, g_strdup (pspec->name), copy);
}

static void get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  const GValue *kept = g_hash_table_lookup (((StandIn *) object)->values, pspec->name);
  (void) id;
  if (kept)
    g_value_copy (kept, value);
  else
    g_param_value_set_default (pspec, value);
}

static GstPad *new_pad (GstElement *element, GstPadTemplate *template, const gchar *name, const GstCaps *caps)
{
  GstPad *pad = gst_pad_new_from_template (template, name);
  (void) caps;
  gst_element_add_pad (element, pad);
  return pad;
}

static void class_init (gpointer class, gpointer data)
{
  GObjectClass *object = class;
  GstElementClass *element = class;
  Spec *spec = data;
  guint id = 1;
  object->set_property = set_property;
  object->get_property = get_property;
  element->request_new_pad = new_pad;
  for (gchar **given = spec->properties; *given && **given; given++, id++) {
    gchar **pair = g_strsplit (*given, "=", 2);
    gchar type = pair[1] ? *pair[1] : 's';
    GParamSpec *property = type == 'u' ? g_param_spec_uint (pair[0], NULL, NULL, 0, G_MAXUINT, 0, G_PARAM_READWRITE)
        : type == 'b' ? g_param_spec_boolean (pair[0], NULL, NULL, FALSE, G_PARAM_READWRITE)
        : g_param_spec_string (pair[0], NULL, NULL, NULL, G_PARAM_READWRITE);
    g_object_class_install_property (object, id, property);
  }
  if (spec->kind != 'f' && spec->kind != 's')
    gst_element_class_add_static_pad_template (element, &many_sinks);
  if (spec->kind == 'f')
    gst_element_class_add_static_pad_template (element, &any_sink);
  if (spec->kind != 'k')
    gst_element_class_add_static_pad_template (element, &any_source);
  gst_element_class_set_static_metadata (element, "stand-in", "Generic", "Stands in for an element", "tests");
}

static void instance_init (GTypeInstance *instance, gpointer class)
{
  const gchar *names[] = { "sink", "src" };
  ((StandIn *) instance)->values = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint i = 0; i < 2; i++) {
    GstPadTemplate *template = gst_element_class_get_pad_template (class, names[i]);
    if (template)
      gst_element_add_pad (GST_ELEMENT (instance), gst_pad_new_from_template (template, names[i]));
  }
}

static void stand_in (const gchar *text)
{
  gchar **parts = g_strsplit (text, ":", 3);
  Spec *spec = g_new0 (Spec, 1);
  GTypeInfo info = { sizeof (StandInClass), NULL, NULL, class_init, NULL, spec, sizeof (StandIn), 0, instance_init, NULL };
  gchar *type = g_strdup_printf ("StandIn%s", parts[0]);
  spec->kind = strcmp (parts[1], "sink") == 0 ? 'k' : *parts[1];
  spec->properties = g_strsplit (parts[2], ",", -1);
  gst_element_register (NULL, parts[0], GST_RANK_NONE, g_type_register_static (GST_TYPE_ELEMENT, type, &info, 0));
}

static void json_text (const gchar *text)
{
  if (!text) {
    fputs ("null", stdout);
    return;
  }
  putchar ('"');
  for (const guchar *byte = (const guchar *) text; *byte; byte++) {
    if (*byte == '"' || *byte == '\\')
      printf ("\\%c", *byte);
    else if (*byte < 0x20)
      printf ("\\u%04x", *byte);
    else
      putchar (*byte);
  }
  putchar ('"');
}

static void json_properties (GstElement *element)
{
  guint count;
  gboolean first = TRUE;
  GParamSpec **specs = g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &count);
  for (guint i = 0; i < count; i++) {
    GValue value = G_VALUE_INIT;
    gboolean text = specs[i]->value_type == G_TYPE_STRING;
    if (!(specs[i]->flags & G_PARAM_READABLE) || !(specs[i]->flags & G_PARAM_WRITABLE) || strcmp (specs[i]->name, "name") == 0
        || strcmp (specs[i]->name, "parent") == 0)
      continue;
    g_value_init (&value, specs[i]->value_type);
    g_object_get_property (G_OBJECT (element), specs[i]->name, &value);
    if (text || !g_param_value_defaults (specs[i], &value)) {
      gchar *shown = text ? g_value_dup_string (&value) : gst_value_serialize (&value);
      if (!first)
        putchar (',');
      first = FALSE;
      json_text (specs[i]->name);
      putchar (':');
      json_text (shown);
      g_free (shown);
    }
    g_value_unset (&value);
  }
  g_free (specs);
}

static GList *peers (GstElement *element)
{
  GList *found = NULL;
  for (GList *pad = element->srcpads; pad; pad = pad->next) {
    GstPad *peer = gst_pad_get_peer (pad->data);
    if (peer)
      found = g_list_append (found, gst_pad_get_parent_element (peer));
  }
  return found;
}

static void json_pipeline (GstElement *pipeline)
{
  GList *children = g_list_reverse (g_list_copy (GST_BIN_CHILDREN (pipeline)));
  fputs ("{\"elements\":[", stdout);
  for (GList *at = children; at; at = at->next) {
    GstElement *element = at->data;
    gchar *name = gst_element_get_name (element);
    printf ("%s{\"factory\":", at == children ? "" : ",");
    json_text (GST_OBJECT_NAME (gst_element_get_factory (element)));
    fputs (",\"name\":", stdout);
    json_text (name);
    fputs (",\"properties\":{", stdout);
    json_properties (element);
    fputs ("},\"links\":[", stdout);
    for (GList *peer = peers (element), *first = peer; peer; peer = peer->next)
      printf ("%s%d", peer == first ? "" : ",", g_list_index (children, peer->data));
    fputs ("]}", stdout);
    g_free (name);
  }
  puts ("]}");
}

static int answer (GstElement *pipeline, GError *error)
{
  if (pipeline && !GST_IS_BIN (pipeline)) { /* a single element comes without a bin around it */
    GstElement *bin = gst_pipeline_new (NULL);
    gst_bin_add (GST_BIN (bin), pipeline);
    pipeline = bin;
  }
  if (error || !pipeline) {
    fputs ("{\"error\":", stdout);
    json_text (error ? error->message : "no pipeline");
    puts ("}");
    return 1;
  }
  json_pipeline (pipeline);
  gst_object_unref (pipeline);
  return 0;
}

static GByteArray *standard_input (void)
{
  GByteArray *all = g_byte_array_new ();
  guint8 block[65536];
  gsize count;
  while ((count = fread (block, 1, sizeof block, stdin)) > 0)
    g_byte_array_append (all, block, count);
  g_byte_array_append (all, (const guint8 *) "", 1);
  return all;
}

static int batch (void)
{
  GByteArray *all = standard_input ();
  GPtrArray *words = g_ptr_array_new ();
  int failed = 0;
  for (gsize at = 0; at + 1 < all->len; at += strlen ((gchar *) all->data + at) + 1) {
    gchar *word = (gchar *) all->data + at;
    GError *error = NULL;
    if (*word) {
      g_ptr_array_add (words, word);
      continue;
    }
    g_ptr_array_add (words, NULL);
    GstElement *pipeline = gst_parse_launchv ((const gchar **) words->pdata, &error);
    failed |= answer (pipeline, error);
    g_ptr_array_set_size (words, 0);
  }
  return failed;
}

int main (int argc, char **argv)
{
  int at = 1;
  GError *error = NULL;
  gst_init (NULL, NULL);
  for (; at + 1 < argc && strcmp (argv[at], "--standin") == 0; at += 2)
    stand_in (argv[at + 1]);
  if (argv[at] && strcmp (argv[at], "--batch") == 0)
    return batch ();
  if (argv[at] && strcmp (argv[at], "--line") == 0) {
    GstElement *pipeline = gst_parse_launch ((gchar *) standard_input ()->data, &error);
    return answer (pipeline, error);
  }
  GstElement *pipeline = gst_parse_launchv ((const gchar **) argv + at, &error);
  return answer (pipeline, error);
}
