# needs: xsltproc xmllint
# XML: validation, XPath, transformation, streaming, HTML, errors.
. "$LIB"
awk 'BEGIN { print "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY e \"entity\">]><r>"; for (i = 0; i < 6000; i++) printf "<i id=\"%d\" g=\"%d\"><t>text %d &e;</t></i>\n", i, i % 13, i * i; print "</r>" }' >a.xml
cat >s.xsl <<'X'
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:output method="text"/><xsl:key name="g" match="i" use="@g"/>
<xsl:template match="/"><xsl:for-each select="//i[generate-id() = generate-id(key('g', @g)[1])]"><xsl:sort select="@g" data-type="number"/><xsl:value-of select="concat(@g, ' ', count(key('g', @g)), ' ', sum(key('g', @g)/@id), '&#10;')"/></xsl:for-each></xsl:template></xsl:stylesheet>
X
xsltproc s.xsl a.xml; xmllint --xpath 'count(//i[@g=3])' a.xml; echo; xmllint --noent --format a.xml | sums /dev/stdin; xmllint --stream --noout a.xml && echo streamed; xmllint --c14n a.xml | wc -c; echo '<html><p>x<br>y' | xmllint --html --xpath 'string(//p)' - 2>/dev/null; echo
echo '<grammar xmlns="http://relaxng.org/ns/structure/1.0"><start><element name="r"><zeroOrMore><element name="i"><attribute name="id"/><attribute name="g"/><element name="t"><text/></element></element></zeroOrMore></element></start></grammar>' >a.rng; xmllint --noout --relaxng a.rng a.xml 2>&1; set +e; echo '<a><b></a>' | xmllint - 2>&1 | sed -n 1p; xsltproc missing.xsl a.xml 2>&1 | sed -n 1p; exit 0
