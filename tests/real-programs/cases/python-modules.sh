# needs: python3
# file: /usr/lib/python3/dist-packages/numpy/__init__.py
# file: /usr/lib/python3/dist-packages/lxml/etree.cpython-311-x86_64-linux-gnu.so
# file: /usr/lib/python3/dist-packages/yaml/__init__.py
# C modules: numpy (with OpenBLAS threads where it has them), lxml, libyaml, PIL, ctypes, decimal.
. "$LIB"
cat >work.py <<'PY'
import ctypes, decimal, io, lzma, bz2, xml.etree.ElementTree as ET
import numpy, yaml
from lxml import etree

rng = numpy.random.RandomState(3)
a = rng.randint(0, 50, (300, 300)).astype(float)
print(int((a @ a).sum()), int(numpy.sort(a.ravel())[45000]), numpy.linalg.matrix_rank(a))
print(abs(numpy.fft.ifft(numpy.fft.fft(a[0])) - a[0]).max() < 1e-9)

root = etree.Element("root")
for i in range(3000):
    e = etree.SubElement(root, "item", id=str(i)); e.text = "text %d" % (i * i)
doc = etree.fromstring(etree.tostring(root))
print(len(doc.xpath("//item[@id mod 7 = 0]")), doc.xpath("string(//item[1000])"))
style = etree.XSLT(etree.XML('<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
    '<xsl:template match="/"><n><xsl:value-of select="count(//item)"/></n></xsl:template></xsl:stylesheet>'))
print(str(style(doc)).strip())
try: etree.fromstring("<a><b></a>")
except etree.XMLSyntaxError as e: print("syntax error at line", e.lineno)

data = {"list": list(range(500)), "map": {str(i): [i, {"x": i}] for i in range(300)}}
loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader); dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
print(yaml.load(yaml.dump(data, Dumper=dumper), Loader=loader) == data)
decimal.getcontext().prec = 400
print(str(decimal.Decimal(2).sqrt())[-20:])
blob = bytes(rng.randint(0, 20, 200000).astype("uint8"))
print(len(lzma.decompress(lzma.compress(blob))), len(bz2.decompress(bz2.compress(blob))))
CMP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
arr = (ctypes.c_int * 1000)(*[(i * 7919) % 1000 for i in range(1000)])
ctypes.CDLL(None).qsort(arr, 1000, 4, CMP(lambda x, y: x[0] - y[0]))
print(list(arr) == sorted(arr), ET.fromstring("<a><b c='1'/></a>")[0].attrib)
try:
    from PIL import Image, ImageFilter
    im = Image.frombytes("L", (400, 500), blob).filter(ImageFilter.GaussianBlur(2)).resize((100, 100))
    out = io.BytesIO(); im.save(out, "PNG"); print("pil", Image.open(io.BytesIO(out.getvalue())).size)
except ImportError:
    print("no PIL")
PY
python3 work.py
